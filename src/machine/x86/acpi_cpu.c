/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_cpu.c: the processors, of which some come and go while the guest runs.
 *
 * On a board with cpu_hotplug every possible processor is a device. _STA asks
 * devices/legacy/cpu_hotplug.c whether it is there, _MAT has the MADT's entry as
 * it is once that is so: Linux takes the APIC id from it, since the MADT itself
 * says "not enabled" of a processor that comes later. What happens comes by the
 * interrupt of a Generic Event Device of their own, whose _EVT takes event after
 * event and notifies the processor that is named. The boot processor stays.
 *
 * Spec:    ACPI 6.5, 8.4 "Declaring Processors", 6.2.11 "_MAT", 6.3.3 "_EJx",
 *          6.3.5 "_OST", 6.3.7 "_STA", 5.6.9 "Interrupt-signaled ACPI events".
 * Threads: control.
 */
#include "machine/x86/acpi_dsdt.h"

#include <stdio.h>

static const char *cpu_name(uint32_t cpu, char name[5])
{
    (void)snprintf(name, 5, "C%03X", cpu & 0xfff);
    return name;
}

/* 5.2.12.2 "Processor Local APIC Structure", enabled */
static void mat_entry(vsr_aml *aml, uint32_t cpu)
{
    const uint8_t entry[] = { 0, 8, (uint8_t)cpu, (uint8_t)cpu, 1, 0, 0, 0 };

    vsr_aml_name(aml, "_MAT");
    vsr_aml_buffer(aml, entry, sizeof(entry));
}

static void cpu_methods(vsr_aml *aml, uint32_t cpu)
{
    vsr_aml_mark method = vsr_aml_open_method(aml, "_STA", 0);

    vsr_aml_op(aml, VSR_AML_RETURN);
    vsr_aml_path(aml, "CPSA");
    vsr_aml_int(aml, cpu);
    vsr_aml_close(aml, method);
    mat_entry(aml, cpu);
    method = vsr_aml_open_method(aml, "_EJ0", 1);
    vsr_aml_store_int(aml, cpu, "CPEJ");
    vsr_aml_close(aml, method);
    method = vsr_aml_open_method(aml, "_OST", 3);
    vsr_aml_path(aml, "CPOS");
    vsr_aml_int(aml, cpu);
    vsr_aml_op(aml, VSR_AML_ARG0);
    vsr_aml_op(aml, VSR_AML_ARG1);
    vsr_aml_close(aml, method);
}

static void store_arg(vsr_aml *aml, uint8_t arg, const char *path)
{
    vsr_aml_op(aml, VSR_AML_STORE);
    vsr_aml_op(aml, arg);
    vsr_aml_path(aml, path);
}

/* Serialized: registers that belong together are used one caller at a time. */
static void registers(vsr_aml *aml)
{
    static const char *const words[] = { "CPEV", "CPST", "CPEJ",
                                         "COCP", "COEV", "COST" };
    vsr_aml_mark method;

    G_STATIC_ASSERT(VSR_CPUS_LEN == 4 * G_N_ELEMENTS(words));
    vsr_aml_io_words(aml, "CPRG", VSR_PORT_CPUS, words, G_N_ELEMENTS(words));
    method = vsr_aml_open_serialized(aml, "CPSA", 1);
    store_arg(aml, VSR_AML_ARG0, "CPST");
    vsr_aml_op(aml, VSR_AML_RETURN);
    vsr_aml_path(aml, "CPST");
    vsr_aml_close(aml, method);
    method = vsr_aml_open_serialized(aml, "CPOS", 3);
    store_arg(aml, VSR_AML_ARG0, "COCP");
    store_arg(aml, VSR_AML_ARG1, "COEV");
    store_arg(aml, VSR_AML_ARG2, "COST");
    vsr_aml_close(aml, method);
}

/* CPNO (cpu, what): AML cannot compute a name. */
static void notify_method(vsr_aml *aml, uint32_t n)
{
    vsr_aml_mark method = vsr_aml_open_method(aml, "CPNO", 2);
    char name[5];

    for (uint32_t cpu = 1; cpu < n; cpu++) {
        vsr_aml_mark mark = vsr_aml_open_if(aml);

        vsr_aml_op(aml, VSR_AML_EQUAL);
        vsr_aml_op(aml, VSR_AML_ARG0);
        vsr_aml_int(aml, cpu);
        vsr_aml_op(aml, VSR_AML_NOTIFY);
        vsr_aml_path(aml, cpu_name(cpu, name));
        vsr_aml_op(aml, VSR_AML_ARG1);
        vsr_aml_close(aml, mark);
    }
    vsr_aml_close(aml, method);
}

static void event_device(vsr_aml *aml)
{
    vsr_aml_mark mark = vsr_acpi_open_events(aml, "CGED", 2, VSR_GSI_CPUS);
    vsr_aml_mark method, loop;

    method = vsr_aml_open_serialized(aml, "_EVT", 1);
    vsr_aml_load_local(aml, "CPEV", 0);
    loop = vsr_aml_open_while(aml);
    vsr_aml_op(aml, VSR_AML_LOCAL0);
    vsr_aml_path(aml, "CPNO");
    vsr_aml_op(aml, VSR_AML_SHIFT_RIGHT);
    vsr_aml_op(aml, VSR_AML_LOCAL0);
    vsr_aml_int(aml, 8);
    vsr_aml_int(aml, 0); /* both results are stored nowhere */
    vsr_aml_op(aml, VSR_AML_AND);
    vsr_aml_op(aml, VSR_AML_LOCAL0);
    vsr_aml_int(aml, 0xff);
    vsr_aml_int(aml, 0);
    vsr_aml_load_local(aml, "CPEV", 0);
    vsr_aml_close(aml, loop);
    vsr_aml_close(aml, method);
    vsr_aml_close(aml, mark);
}

void vsr_acpi_processors(vsr_aml *aml, const vsr_board *board)
{
    uint32_t n = board->cpu_hotplug ? board->max_vcpus : board->vcpus;
    char name[5];

    if (board->cpu_hotplug)
        registers(aml);
    for (uint32_t cpu = 0; cpu < n; cpu++) {
        vsr_aml_mark mark = vsr_aml_open_device(aml, cpu_name(cpu, name));

        vsr_aml_name(aml, "_HID");
        vsr_aml_string(aml, "ACPI0007");
        vsr_aml_name(aml, "_UID");
        vsr_aml_int(aml, cpu);
        if (board->cpu_hotplug && cpu > 0)
            cpu_methods(aml, cpu);
        vsr_aml_close(aml, mark);
    }
    if (board->cpu_hotplug) {
        notify_method(aml, n);
        event_device(aml);
    }
}
