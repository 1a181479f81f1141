/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_start.S: first in the image; where the benchmark starts the vCPU. */
        .text
        .globl _start
_start:
        call guest_work
        mov %rax, %rdx
        out %eax, $0xe0
        shr $32, %rax
        out %eax, $0xf4
1:      hlt
        jmp 1b
        .section .note.GNU-stack, "", @progbits
