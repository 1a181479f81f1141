/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/x86/board.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/util.h"
#include "machine/boot/image.h"
#include "machine/x86/acpi_aml.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

typedef struct {
    vsr_machine *machine;
    vsr_board board;
    const uint8_t *area; /* the table area in guest RAM */
} fixture;

static fixture *tables_new(vsr_board_kind kind, uint32_t vcpus,
                           uint32_t max_vcpus, uint32_t n_mmio)
{
    static const vsr_mem_options options = { .no_thp = true };
    fixture *f = g_new0(fixture, 1);
    GError *error = NULL;
    uint64_t rsdp;

    assert_true(
        vsr_board_init(&f->board, kind, 4 * VSR_MIB, vcpus, max_vcpus, &error));
    while (n_mmio--)
        assert_non_null(vsr_board_add_mmio(&f->board));
    f->machine = fake_machine_new(1);
    assert_non_null(f->machine);
    assert_true(vsr_board_add_ram(&f->board, f->machine, &options, &error));
    if (!vsr_acpi_build(&f->board, f->machine, &rsdp, &error))
        fail_msg("%s", error->message);
    assert_int_equal(rsdp, VSR_ACPI_TABLES);
    f->area =
        vsr_mem_map(f->machine->mem, VSR_ACPI_TABLES, VSR_ACPI_TABLES_LEN);
    return f;
}

static void tables_free(fixture *f)
{
    vsr_machine_free(f->machine);
    g_free(f);
}

static uint8_t sum(const uint8_t *data, uint32_t len)
{
    uint8_t s = 0;

    while (len--)
        s = (uint8_t)(s + *data++);
    return s;
}

static const uint8_t *at(fixture *f, uint64_t gpa)
{
    assert_in_range(gpa, VSR_ACPI_TABLES,
                    VSR_ACPI_TABLES + VSR_ACPI_TABLES_LEN - 36);
    return f->area + (gpa - VSR_ACPI_TABLES);
}

/* NULL: not in the XSDT. */
static const uint8_t *table(fixture *f, const char *signature)
{
    const uint8_t *xsdt = at(f, vsr_le64(f->area + 24));
    uint32_t n = (vsr_le32(xsdt + 4) - 36) / 8, i;

    for (i = 0; i < n; i++) {
        const uint8_t *t = at(f, vsr_le64(xsdt + 36 + 8 * (size_t)i));

        assert_int_equal(sum(t, vsr_le32(t + 4)), 0);
        if (memcmp(t, signature, 4) == 0)
            return t;
    }
    return NULL;
}

static void every_table_has_a_checksum(void **state)
{
    fixture *f = tables_new(VSR_BOARD_PCI, 2, 4, 0);
    const uint8_t *fadt, *dsdt;

    assert_memory_equal(f->area, "RSD PTR ", 8);
    assert_int_equal(sum(f->area, 20), 0);
    assert_int_equal(sum(f->area, 36), 0);
    assert_int_equal(f->area[15], 2);
    fadt = table(f, "FACP");
    assert_non_null(fadt);
    assert_int_equal(vsr_le32(fadt + 4), 276);
    dsdt = at(f, vsr_le32(fadt + 40));
    assert_int_equal(vsr_le64(fadt + 140), vsr_le32(fadt + 40));
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(sum(dsdt, vsr_le32(dsdt + 4)), 0);
    assert_memory_equal(at(f, vsr_le32(fadt + 36)), "FACS", 4);
    assert_int_equal(vsr_le32(fadt + 36) % 64, 0);
    tables_free(f);
}

static void rsdt_and_xsdt_list_the_same_tables(void **state)
{
    fixture *f = tables_new(VSR_BOARD_PCI, 1, 1, 0);
    const uint8_t *rsdt = at(f, vsr_le32(f->area + 16));
    const uint8_t *xsdt = at(f, vsr_le64(f->area + 24));
    uint32_t n = (vsr_le32(xsdt + 4) - 36) / 8, i;

    assert_memory_equal(rsdt, "RSDT", 4);
    assert_int_equal(sum(rsdt, vsr_le32(rsdt + 4)), 0);
    assert_int_equal(vsr_le32(rsdt + 4), 36 + 4 * n);
    assert_in_range(n, 3, 8);
    for (i = 0; i < n; i++)
        assert_int_equal(vsr_le32(rsdt + 36 + 4 * (size_t)i),
                         vsr_le64(xsdt + 36 + 8 * (size_t)i));
    tables_free(f);
}

static void fadt_describes_the_fixed_hardware(void **state)
{
    fixture *f = tables_new(VSR_BOARD_PCI, 1, 1, 0);
    const uint8_t *fadt = table(f, "FACP");

    assert_int_equal(vsr_le16(fadt + 109), 0x15); /* legacy, no VGA, no ASPM */
    f->board.has_keyboard = true;
    assert_true(vsr_acpi_build(&f->board, f->machine, &(uint64_t){ 0 }, NULL));
    fadt = table(f, "FACP");
    assert_int_equal(vsr_le16(fadt + 46), 9);
    assert_int_equal(vsr_le32(fadt + 56), 0x600);
    assert_int_equal(vsr_le32(fadt + 64), 0x604);
    assert_int_equal(vsr_le32(fadt + 76), 0x608);
    assert_int_equal(fadt[108], 0x32);
    assert_int_equal(vsr_le16(fadt + 109), 0x17); /* and an 8042 */
    assert_int_equal(fadt[116], 1);               /* reset: I/O … */
    assert_int_equal(vsr_le64(fadt + 120), 0xcf9);
    assert_int_equal(fadt[128], 6);
    tables_free(f);

    f = tables_new(VSR_BOARD_MICRO, 1, 1, 0);
    f->board.has_rtc = false;
    assert_true(vsr_acpi_build(&f->board, f->machine, &(uint64_t){ 0 }, NULL));
    fadt = table(f, "FACP");
    assert_int_equal(vsr_le16(fadt + 109), 0x35); /* no 8042, no RTC */
    assert_int_equal(fadt[108], 0);
    tables_free(f);
}

/* ACPI 6.5, 4.1: no SCI, PM1 blocks, PM timer, FACS; sleep registers and a
 * power button of AML instead. */
static void micro_board_has_reduced_hardware(void **state)
{
    fixture *f = tables_new(VSR_BOARD_MICRO, 1, 1, 0);
    const uint8_t *fadt = table(f, "FACP"), *madt = table(f, "APIC");
    uint32_t len = vsr_le32(madt + 4), i;

    assert_int_equal(vsr_le32(fadt + 112) & (1 << 20 | 1 << 4),
                     1 << 20 | 1 << 4);
    assert_int_equal(vsr_le32(fadt + 36), 0); /* FACS */
    for (i = 46; i < 96; i++)                 /* SCI_INT to CST_CNT */
        assert_int_equal(fadt[i], 0);
    for (i = 148; i < 244; i++) /* X_PM1a_EVT_BLK to X_GPE1_BLK */
        assert_int_equal(fadt[i], 0);
    assert_int_equal(fadt[244], 1); /* sleep control: I/O */
    assert_int_equal(fadt[245], 8);
    assert_int_equal(vsr_le64(fadt + 248), 0x600);
    assert_int_equal(fadt[256], 1);
    assert_int_equal(vsr_le64(fadt + 260), 0x601);
    assert_memory_equal(fadt + 268, "VISOR\0\0", 8);
    assert_int_equal(vsr_le64(fadt + 120), 0xcf9); /* reset, as ever */
    for (i = 44; i + 2 <= len; i += madt[i + 1])
        assert_false(madt[i] == 2 && madt[i + 3] == 9); /* no SCI override */
    tables_free(f);

    f = tables_new(VSR_BOARD_PCI, 1, 1, 0);
    fadt = table(f, "FACP");
    assert_int_equal(vsr_le32(fadt + 112) & (1 << 20 | 1 << 4), 0);
    assert_int_equal(vsr_le64(fadt + 248), 0);
    tables_free(f);
}

static void madt_lists_processors_and_interrupts(void **state)
{
    fixture *f = tables_new(VSR_BOARD_PCI, 2, 3, 0);
    const uint8_t *madt = table(f, "APIC");
    uint32_t len = vsr_le32(madt + 4), i = 44, cpus = 0, ioapics = 0;
    uint32_t overrides = 0;

    assert_int_equal(vsr_le32(madt + 36), 0xfee00000);
    while (i + 2 <= len) {
        const uint8_t *e = madt + i;

        assert_in_range(e[1], 2, len - i);
        if (e[0] == 0) {
            assert_int_equal(e[3], cpus);
            assert_int_equal(vsr_le32(e + 4), cpus < 2 ? 1 : 2);
            cpus++;
        } else if (e[0] == 1) {
            assert_int_equal(vsr_le32(e + 4), 0xfec00000);
            ioapics++;
        } else if (e[0] == 2) {
            assert_int_equal(vsr_le32(e + 4), e[3] == 0 ? 2 : 9);
            assert_int_equal(vsr_le16(e + 8), e[3] == 0 ? 0 : 0xd);
            overrides++;
        }
        i += e[1];
    }
    assert_int_equal(i, len);
    assert_int_equal(cpus, 3);
    assert_int_equal(ioapics, 1);
    assert_int_equal(overrides, 2);
    tables_free(f);
}

static void more_than_255_processors_use_x2apic_entries(void **state)
{
    fixture *f = tables_new(VSR_BOARD_PCI, 1024, 1024, 0);
    const uint8_t *madt = table(f, "APIC");
    uint32_t len = vsr_le32(madt + 4), i = 44, x2apic = 0;

    for (; i + 2 <= len; i += madt[i + 1])
        if (madt[i] == 9) {
            assert_int_equal(vsr_le32(madt + i + 4), 255 + x2apic);
            x2apic++;
        }
    assert_int_equal(x2apic, 1024 - 255);
    tables_free(f);
}

/* The buses that exist, and no others: a guest looks for devices on each. */
static void mcfg_is_for_the_board_with_pci(void **state)
{
    fixture *f = tables_new(VSR_BOARD_PCI, 1, 1, 0);
    const uint8_t *mcfg;
    vsr_memmap_entry map[8];
    uint32_t buses;

    assert_int_equal(f->board.pci_buses, 1);
    for (buses = 1; buses <= 256; buses += 85) {
        f->board.pci_buses = buses;
        assert_true(
            vsr_acpi_build(&f->board, f->machine, &(uint64_t){ 0 }, NULL));
        mcfg = table(f, "MCFG");
        assert_non_null(mcfg);
        assert_int_equal(vsr_le32(mcfg + 4), 60);
        assert_int_equal(vsr_le64(mcfg + 44), VSR_ECAM_BASE);
        assert_int_equal(mcfg[54], 0);
        assert_int_equal(mcfg[55], buses - 1);
        assert_int_equal(vsr_board_memmap(&f->board, map, 8), 4);
        assert_int_equal(map[3].addr, VSR_ECAM_BASE);
        assert_int_equal(map[3].len, buses * VSR_ECAM_BUS_LEN);
    }
    tables_free(f);
    f = tables_new(VSR_BOARD_MICRO, 1, 1, 3);
    assert_null(table(f, "MCFG"));
    tables_free(f);
}

/* 20.2.4: lengths of one to three bytes, themselves included. */
static void package_lengths_are_encoded(void **state)
{
    static const uint32_t sizes[] = { 10, 57, 58, 59, 4000, 4088, 4089, 9000 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        GByteArray *aml = g_byte_array_new();
        g_autofree uint8_t *zero = g_malloc0(sizes[i]);
        vsr_aml_mark mark = vsr_aml_open_scope(aml, "\\_SB");
        uint32_t n, len;

        g_byte_array_append(aml, zero, sizes[i]);
        vsr_aml_close(aml, mark);
        n = aml->data[1] >> 6;
        len = n ? aml->data[1] & 0x0f : aml->data[1];
        if (n > 0)
            len |= (uint32_t)aml->data[2] << 4;
        if (n > 1)
            len |= (uint32_t)aml->data[3] << 12;
        assert_int_equal(len, aml->len - 1);
        assert_memory_equal(aml->data + 2 + n, "\\_SB_", 5);
        g_byte_array_unref(aml);
    }
}

static void names_and_numbers_are_encoded(void **state)
{
    GByteArray *aml = g_byte_array_new();

    vsr_aml_eisa_id(aml, "PNP0501");
    assert_memory_equal(aml->data, "\x0c\x41\xd0\x05\x01", 5);
    g_byte_array_set_size(aml, 0);
    vsr_aml_path(aml, "\\_SB.PCI0.X");
    assert_memory_equal(aml->data, "\\\x2f\x03_SB_PCI0X___", 15);
    g_byte_array_set_size(aml, 0);
    vsr_aml_int(aml, 0);
    vsr_aml_int(aml, 1);
    vsr_aml_int(aml, 255);
    vsr_aml_int(aml, 256);
    vsr_aml_int(aml, 65536);
    vsr_aml_int(aml, UINT64_C(1) << 32);
    assert_int_equal(aml->len, 1 + 1 + 2 + 3 + 5 + 9);
    g_byte_array_unref(aml);
}

/* NULL, or what iasl had to say; freed by the caller. */
static char *iasl_run(const char *folder, const char *option, const char *file,
                      const char *must_say)
{
    g_autofree char *out = NULL, *err = NULL;
    const char *argv[] = { "iasl", option, file, NULL };
    int status = 0;
    bool ok;

    ok = g_spawn_sync(folder, (char **)(uintptr_t)argv, NULL,
                      G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status,
                      NULL) &&
         status == 0 && !strstr(err, "Error") &&
         (!must_say || strstr(out, must_say));
    return ok ? NULL : g_strconcat(out ? out : "", err, NULL);
}

/* Disassembled; and what came out compiles again without a remark. */
static void assert_iasl_reads(const char *folder, const char *name,
                              const uint8_t *data, uint32_t len)
{
    static const char *const ends[] = { "dat", "dsl", "aml", "hex" };
    g_autofree char *dat = g_strdup_printf("%s/%s.dat", folder, name);
    g_autofree char *dsl = g_strdup_printf("%s/%s.dsl", folder, name);
    g_autofree char *text = NULL, *said = NULL;
    size_t i;

    assert_true(g_file_set_contents(dat, (const char *)data, len, NULL));
    said = iasl_run(folder, "-d", dat, NULL);
    if (said || !g_file_get_contents(dsl, &text, NULL, NULL))
        fail_msg("iasl -d %s: %s", name, said);
    if (strstr(text, "Invalid") || strstr(text, "Incorrect") ||
        strstr(text, "**** "))
        fail_msg("%s: %s", name, text);
    said = iasl_run(folder, "-tc", dsl, "0 Errors, 0 Warnings, 0 Remarks");
    if (said)
        fail_msg("iasl -tc %s: %s", name, said);
    for (i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autofree char *file =
            g_strdup_printf("%s/%s.%s", folder, name, ends[i]);

        g_unlink(file);
    }
}

static void iasl_reads_every_table(void **state)
{
    g_autofree char *iasl = g_find_program_in_path("iasl");
    g_autofree char *folder = NULL;
    int kind;

    if (!iasl) {
        print_message("iasl (acpica-tools) is not installed\n");
        skip();
    }
    folder = g_dir_make_tmp("acpi-XXXXXX", NULL);
    for (kind = VSR_BOARD_PCI; kind <= VSR_BOARD_MICRO; kind++) {
        fixture *f = tables_new((vsr_board_kind)kind, 2, 4, kind ? 32 : 0);
        static const char *const names[] = { "FACP", "APIC", "MCFG", "WAET" };
        const uint8_t *t;
        size_t i;

        for (i = 0; i < G_N_ELEMENTS(names); i++) {
            t = table(f, names[i]);
            if (t)
                assert_iasl_reads(folder, names[i], t, vsr_le32(t + 4));
        }
        t = at(f, vsr_le32(table(f, "FACP") + 40));
        assert_iasl_reads(folder, "DSDT", t, vsr_le32(t + 4));
        tables_free(f);
    }
    g_rmdir(folder);
}

/* ---- the board ---- */

static void board_checks_its_numbers(void **state)
{
    vsr_board b;
    GError *error = NULL;

    assert_false(vsr_board_init(&b, VSR_BOARD_PCI, 4096, 1, 1, &error));
    assert_non_null(strstr(error->message, "4096 bytes"));
    g_clear_error(&error);
    assert_false(vsr_board_init(&b, VSR_BOARD_PCI, VSR_MIB + 5, 1, 1, &error));
    assert_non_null(strstr(error->message, "1048581"));
    g_clear_error(&error);
    assert_false(
        vsr_board_init(&b, VSR_BOARD_PCI, UINT64_C(1) << 60, 1, 1, &error));
    g_clear_error(&error);
    assert_false(vsr_board_init(&b, VSR_BOARD_PCI, VSR_MIB, 0, 1, &error));
    g_clear_error(&error);
    assert_false(vsr_board_init(&b, VSR_BOARD_PCI, VSR_MIB, 4, 3, &error));
    assert_non_null(strstr(error->message, "maximum 3"));
    g_clear_error(&error);
    assert_false(vsr_board_init(&b, VSR_BOARD_PCI, VSR_MIB, 1, 2000, &error));
    g_clear_error(&error);
}

static void memory_is_split_around_the_hole(void **state)
{
    vsr_memmap_entry map[8];
    vsr_board b;

    assert_true(vsr_board_init(&b, VSR_BOARD_PCI, 5 * VSR_GIB, 1, 1, NULL));
    assert_int_equal(vsr_board_low_ram(&b), 3 * VSR_GIB);
    assert_int_equal(vsr_board_high_ram(&b), 2 * VSR_GIB);
    assert_int_equal(vsr_board_memmap(&b, map, 8), 5);
    assert_int_equal(map[2].addr + map[2].len, 3 * VSR_GIB);
    assert_int_equal(map[3].addr, VSR_ECAM_BASE);
    assert_int_equal(map[3].type, 2);
    assert_int_equal(map[4].addr, 4 * VSR_GIB);
    assert_int_equal(map[4].len, 2 * VSR_GIB);
    assert_int_equal(vsr_board_memmap(&b, map, 2), 2);
    assert_true(vsr_board_init(&b, VSR_BOARD_MICRO, VSR_MIB, 1, 1, NULL));
    assert_int_equal(vsr_board_memmap(&b, map, 8), 2);
}

static void memory_beyond_the_engines_address_bits_is_refused(void **state)
{
    static const vsr_mem_options options = { 0 };
    vsr_machine *machine = fake_machine_new(1);
    GError *error = NULL;
    vsr_board b;

    assert_true(
        vsr_board_init(&b, VSR_BOARD_PCI, UINT64_C(2) << 40, 1, 1, NULL));
    assert_false(vsr_board_add_ram(&b, machine, &options, &error));
    assert_non_null(strstr(error->message, "40 physical address bits"));
    g_clear_error(&error);
    assert_true(vsr_board_init(&b, VSR_BOARD_PCI, VSR_GIB, 1, 1, NULL));
    b.device_memory = UINT64_C(1) << 40;
    assert_false(vsr_board_add_ram(&b, machine, &options, &error));
    assert_non_null(strstr(error->message, "for memory devices"));
    g_clear_error(&error);
    vsr_machine_free(machine);
}

static void memory_devices_are_between_ram_and_pci(void **state)
{
    uint64_t base, len, pci_base, pci_len;
    vsr_board b;

    assert_true(
        vsr_board_init(&b, VSR_BOARD_PCI, 5 * VSR_GIB + VSR_MIB, 1, 1, NULL));
    vsr_board_device_memory(&b, &base, &len);
    assert_int_equal(len, 0);
    assert_true(vsr_board_pci64(&b, 40, &pci_base, &pci_len));
    assert_int_equal(pci_base, 7 * VSR_GIB);
    b.device_memory = 10 * VSR_GIB;
    vsr_board_device_memory(&b, &base, &len);
    assert_int_equal(base, 7 * VSR_GIB);
    assert_int_equal(len, 10 * VSR_GIB);
    assert_true(vsr_board_pci64(&b, 40, &pci_base, &pci_len));
    assert_int_equal(pci_base, 17 * VSR_GIB);
    b.device_memory = UINT64_C(1) << 40;
    assert_false(vsr_board_pci64(&b, 40, &pci_base, &pci_len));
}

static void mmio_windows_do_not_overlap(void **state)
{
    vsr_board b;
    uint32_t i;

    assert_true(vsr_board_init(&b, VSR_BOARD_MICRO, VSR_MIB, 1, 1, NULL));
    for (i = 0; i < VSR_BOARD_MMIO_MAX; i++) {
        const vsr_board_mmio *m = vsr_board_add_mmio(&b);

        assert_non_null(m);
        assert_int_equal(m->base,
                         VSR_VIRTIO_MMIO_BASE + i * VSR_VIRTIO_MMIO_STEP);
        assert_in_range(m->gsi, 5, 23);
        assert_int_not_equal(m->gsi, VSR_GSI_RTC);
        assert_int_not_equal(m->gsi, VSR_GSI_SCI);
    }
    assert_null(vsr_board_add_mmio(&b));
    assert_true(b.mmio[31].base + VSR_VIRTIO_MMIO_STEP <= VSR_IOAPIC_BASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_has_a_checksum),
        cmocka_unit_test(rsdt_and_xsdt_list_the_same_tables),
        cmocka_unit_test(fadt_describes_the_fixed_hardware),
        cmocka_unit_test(micro_board_has_reduced_hardware),
        cmocka_unit_test(madt_lists_processors_and_interrupts),
        cmocka_unit_test(more_than_255_processors_use_x2apic_entries),
        cmocka_unit_test(mcfg_is_for_the_board_with_pci),
        cmocka_unit_test(package_lengths_are_encoded),
        cmocka_unit_test(names_and_numbers_are_encoded),
        cmocka_unit_test(iasl_reads_every_table),
        cmocka_unit_test(board_checks_its_numbers),
        cmocka_unit_test(memory_is_split_around_the_hole),
        cmocka_unit_test(memory_beyond_the_engines_address_bits_is_refused),
        cmocka_unit_test(memory_devices_are_between_ram_and_pci),
        cmocka_unit_test(mmio_windows_do_not_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
