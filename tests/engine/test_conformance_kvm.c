/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drivers/kvm/kvm_host.h"
#include "tests/engine/conformance.h"

/* What a software KVM does not have, or has too slowly. */
static const char *const too_much[] = {
    "sse_and_x87_compute",
    "a_triple_fault_is_a_shutdown",
    "locked_adds_of_two_vcpus_add_up",
    "two_vcpus_hand_over_a_token",
    NULL,
};

int main(void)
{
    double mips;
    bool is_software = kvm_host_measure(&mips) == KVM_SOFTWARE;

    return conformance_run(&vsr_kvm_engine, is_software ? too_much : NULL);
}
