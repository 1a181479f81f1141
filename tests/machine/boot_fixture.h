/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boot_fixture.h: a machine of RAM only, to load images into. */
#ifndef VSR_TESTS_MACHINE_BOOT_FIXTURE_H
#define VSR_TESTS_MACHINE_BOOT_FIXTURE_H

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/boot/boot.h"
#include "machine/x86/reset.h"
#include "tests/support/boot_images.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

#define MIB UINT64_C(0x100000)

typedef struct {
    vsr_machine *machine;
    vsr_board board;
    vsr_boot_source source;
    vsr_x86_state state;
    GError *error;
} boot_fixture;

static inline boot_fixture *boot_fixture_new(uint64_t ram)
{
    static const vsr_mem_options options = { .no_thp = true };
    boot_fixture *f = g_new0(boot_fixture, 1);

    f->source = (vsr_boot_source){ .kernel_fd = -1,
                                   .initrd_fd = -1,
                                   .firmware_fd = -1,
                                   .kernel_name = "dir/kern",
                                   .initrd_name = "dir/init",
                                   .firmware_name = "bios",
                                   .cmdline = "" };
    assert_true(
        vsr_board_init(&f->board, VSR_BOARD_MICRO, ram, 1, 1, &f->error));
    f->machine = fake_machine_new(1);
    assert_non_null(f->machine);
    assert_true(vsr_board_add_ram(&f->board, f->machine, &options, &f->error));
    vsr_x86_reset_state(&f->state, f->machine->config.cpuid, true);
    return f;
}

static inline void boot_fixture_close(boot_fixture *f)
{
    if (f->source.kernel_fd >= 0)
        close(f->source.kernel_fd);
    if (f->source.initrd_fd >= 0)
        close(f->source.initrd_fd);
    if (f->source.firmware_fd >= 0)
        close(f->source.firmware_fd);
    f->source.kernel_fd = f->source.initrd_fd = f->source.firmware_fd = -1;
    g_clear_error(&f->error);
}

static inline void boot_fixture_free(boot_fixture *f)
{
    boot_fixture_close(f);
    vsr_machine_free(f->machine);
    g_free(f);
}

static inline bool boot_load(boot_fixture *f, const GByteArray *image)
{
    if (f->source.kernel_fd >= 0)
        close(f->source.kernel_fd);
    g_clear_error(&f->error);
    f->source.kernel_fd = image_fd(image->data, image->len);
    return vsr_boot_load(f->machine, &f->board, &f->source, &f->state,
                         &f->error);
}

/* Refused with this code, and a message that has this in it. */
static inline void assert_refused(boot_fixture *f, const GByteArray *image,
                                  int code, const char *part)
{
    assert_false(boot_load(f, image));
    assert_non_null(f->error);
    if (f->error->code != code || !strstr(f->error->message, part))
        fail_msg("code %d, '%s' (wanted %d, '%s')", f->error->code,
                 f->error->message, code, part);
}

static inline uint64_t peek(boot_fixture *f, uint64_t gpa, uint32_t size)
{
    uint8_t bytes[8] = { 0 };

    assert_int_equal(vsr_mem_read(f->machine->mem, gpa, bytes, size), 0);
    return vsr_le64(bytes);
}

/* Are `len` bytes of image_elf()'s pattern at gpa? */
static inline void assert_pattern(boot_fixture *f, uint64_t gpa, uint32_t len)
{
    const uint8_t *at = vsr_mem_map(f->machine->mem, gpa, len);
    uint32_t i;

    assert_non_null(at);
    for (i = 0; i < len; i++)
        if (at[i] != (uint8_t)(i * 7))
            fail_msg("byte %u of the kernel is %02x", i, at[i]);
}

#endif
