/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rpc_frame.c: any bytes as a stream of control messages, in pieces whose sizes
 * come from the bytes too. What is accepted must come out of the formatter as
 * text that is accepted again and comes out the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The fuzzer's way to hear of a broken promise. */
static void require(int holds)
{
    if (!holds)
        abort();
}

static void check_json(const char *body, size_t len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(vsr_json) json = vsr_json_parse(body, len, &error);
    g_autoptr(vsr_json) again = NULL;
    g_autofree char *text = NULL;
    g_autofree char *text2 = NULL;
    size_t n = 0;

    require((json == NULL) == (error != NULL));
    if (json == NULL) {
        require(!strchr(error->message, '\n'));
        return;
    }
    text = vsr_json_format(json, &n);
    require(strlen(text) == n);
    again = vsr_json_parse(text, n, NULL);
    require(again != NULL);
    text2 = vsr_json_format(again, NULL);
    require(strcmp(text, text2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vsr_frame_reader reader;
    size_t at = 0;
    int rc = 0;

    check_json((const char *)data, size);
    vsr_frame_reader_init(&reader, 0);
    while (at < size && rc >= 0) {
        size_t piece = MIN(1 + (size_t)(data[at] % 61), size - at);
        const char *body = NULL;
        size_t len = 0;

        require(vsr_frame_reader_feed(&reader, data + at, piece) == 0);
        at += piece;
        while ((rc = vsr_frame_reader_next(&reader, &body, &len)) > 0) {
            vsr_message message;

            require(len <= VSR_FRAME_MAX);
            check_json(body, len);
            if (vsr_message_parse(&reader, body, len, &message, NULL)) {
                (void)vsr_message_is_result(message.json, NULL);
                require(message.n_fds == 0);
            }
            vsr_message_clear(&message);
        }
    }
    vsr_frame_reader_fini(&reader);
    return 0;
}
