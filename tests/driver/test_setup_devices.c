/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_setup_devices.c: what a plugged device has of the host arrives as it was
 * sent, and freeing it closes what is its own and nothing else. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver/setup_devices.h"
#include "net/forwards.h"

static int some_fd(void)
{
    int fd = memfd_create("x", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static uint32_t open_count(void)
{
    uint32_t n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Through text, and with descriptors that the kernel would have passed. */
static vsr_device_resource *pass(const vsr_device_resource *sent)
{
    vsr_fd_list list = { .n = 0 };
    g_autoptr(vsr_json) json = vsr_device_resource_to_json(sent, &list);
    g_autofree char *text = vsr_json_format(json, NULL);
    vsr_message message = { .json = vsr_json_parse(text, strlen(text), NULL) };
    vsr_device_resource *got;

    assert_false(list.is_full);
    assert_non_null(message.json);
    message.n_fds = list.n;
    for (uint32_t i = 0; i < list.n; i++)
        message.fds[i] = fcntl(list.fd[i], F_DUPFD_CLOEXEC, 3);
    got = vsr_device_resource_from_json(&message, message.json);
    vsr_message_clear(&message);
    return got;
}

static void nothing_but_its_own_is_closed(void **state)
{
    uint32_t before = open_count();

    for (int kind = 0; kind < VSR_DEVICE_KINDS; kind++)
        vsr_device_resource_free(
            vsr_device_resource_new((vsr_device_kind)kind));
    assert_int_equal(open_count(), before);
}

static void a_chain_of_images_arrives(void **state)
{
    uint32_t before = open_count();
    vsr_device_resource *sent = vsr_device_resource_new(VSR_DEVICE_DISK), *got;

    sent->block.n = 2;
    sent->block.image[0] = (vsr_block_image){ .format = VSR_BLOCK_QCOW2,
                                              .name = g_strdup("/a"),
                                              .fd = some_fd() };
    sent->block.image[1] = (vsr_block_image){ .name = g_strdup("/b"),
                                              .fd = some_fd(),
                                              .readonly = true };
    got = pass(sent);
    assert_non_null(got);
    assert_int_equal(got->block.n, 2);
    assert_int_equal(got->block.image[0].format, VSR_BLOCK_QCOW2);
    assert_string_equal(got->block.image[1].name, "/b");
    assert_true(got->block.image[1].readonly && !got->block.image[0].readonly);
    assert_true(got->block.image[0].fd > 2 && got->block.image[1].fd > 2);
    vsr_device_resource_free(sent);
    vsr_device_resource_free(got);
    assert_int_equal(open_count(), before);
}

static void a_network_arrives(void **state)
{
    const vsr_net_forward forward = { .is_udp = true,
                                      .host_addr = g_strdup("::1"),
                                      .host_port = 53,
                                      .guest_port = 54 };
    uint32_t before = open_count();
    vsr_device_resource *sent = vsr_device_resource_new(VSR_DEVICE_INTERFACE);
    vsr_device_resource *got;
    const vsr_net_forward *f;

    sent->net.kind = VSR_NET_BRIDGE;
    sent->net.n = 2;
    sent->net.fd[0] = some_fd();
    sent->net.fd[1] = some_fd();
    sent->net.hold_fd = some_fd();
    sent->net.mtu = 9000;
    sent->net.vnet_hdr = true;
    sent->net.in.average = 7;
    sent->net.name = g_strdup("vnet3");
    sent->net.forwards = vsr_net_forwards_new();
    g_array_append_val(sent->net.forwards, forward);
    got = pass(sent);
    assert_non_null(got);
    assert_int_equal(got->net.kind, VSR_NET_BRIDGE);
    assert_int_equal(got->net.n, 2);
    assert_int_equal(got->net.mtu, 9000);
    assert_int_equal(got->net.in.average, 7);
    assert_string_equal(got->net.name, "vnet3");
    assert_true(got->net.fd[1] > 2 && got->net.fd[2] == -1 &&
                got->net.hold_fd > 2);
    assert_int_equal(got->net.forwards->len, 1);
    f = &g_array_index(got->net.forwards, vsr_net_forward, 0);
    assert_true(f->is_udp && f->host_port == 53 && f->guest_port == 54);
    assert_string_equal(f->host_addr, "::1");
    vsr_device_resource_free(sent);
    vsr_device_resource_free(got);
    assert_int_equal(open_count(), before);
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"kind\":99}",
        "{\"kind\":0}",
        "{\"kind\":0,\"images\":[]}",
        "{\"kind\":0,\"images\":[{\"format\":9,\"protocol\":0,"
        "\"readonly\":true,\"name\":\"x\",\"fd\":0}]}",
        "{\"kind\":0,\"images\":[{\"format\":0,\"protocol\":0,"
        "\"readonly\":true,\"name\":\"x\",\"fd\":7}]}",
        "{\"kind\":1,\"net\":{\"kind\":1,\"n\":17,\"mtu\":1,"
        "\"vnet_hdr\":true}}",
        "{\"kind\":5,\"chardev\":{\"kind\":3,\"listening\":true,\"fd\":0}}",
    };
    uint32_t before = open_count();

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        vsr_message message = {
            .json = vsr_json_parse(texts[i], strlen(texts[i]), NULL),
            .n_fds = 1,
            .fds = { some_fd() },
        };

        assert_non_null(message.json);
        assert_null(vsr_device_resource_from_json(&message, message.json));
        vsr_message_clear(&message);
        assert_int_equal(open_count(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_its_own_is_closed),
        cmocka_unit_test(a_chain_of_images_arrives),
        cmocka_unit_test(a_network_arrives),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
