/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_start.S: PVH entry, 64-bit mode with the first 4 GiB mapped one to one
 * (the 2 MiB below 1 GiB read-only), stubs of all vectors, the start of the
 * other processors.
 *
 * Spec: Xen public/arch-x86/hvm/start_info.h, public/elfnote.h; Intel SDM vol.
 *       3A, 10.8.5 "Initializing IA-32e Mode".
 */
        .set    TRAMPOLINE, 0x8000
        .set    STACK, 8192             /* of each processor */

        .section .note.Xen, "a", @note
        .align  4
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start32

        .text
        .code32
        .globl  start32
start32:
        cld
        movl    %ebx, start_info
        movl    $pdpt + 3, pml4
        xorl    %ecx, %ecx
1:      movl    %ecx, %eax              /* four page directories */
        shll    $12, %eax
        addl    $pd + 3, %eax
        movl    %eax, pdpt(,%ecx,8)
        incl    %ecx
        cmpl    $4, %ecx
        jne     1b
        xorl    %ecx, %ecx
1:      movl    %ecx, %eax              /* present, writable, 2 MiB */
        shll    $21, %eax
        orl     $0x83, %eax
        movl    %eax, pd(,%ecx,8)
        incl    %ecx
        cmpl    $2048, %ecx
        jne     1b
        andl    $~2, pd + 511 * 8

enter_long:
        movl    $0x620, %eax            /* PAE OSFXSR OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80010033, %eax       /* PG WP NE ET MP PE */
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $8, $start64

        .code64
start64:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $1, %eax                /* which of the stacks is mine */
        lock xaddl %eax, next_stack(%rip)
        movl    %eax, %edi
        incl    %eax
        imull   $STACK, %eax
        leaq    stacks(%rax), %rsp
        lidt    idt_pointer(%rip)
        testl   %edi, %edi
        jnz     1f
        call    probe_main
1:      call    smp_main
2:      cli
        hlt
        jmp     2b

/* --- vectors --- */

        .align  16
        .globl  stubs
stubs:
        .set    vector, 0
        .rept   256
        .align  16
        .if     (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
        .else
        pushq   $0
        .endif
        pushq   $vector
        jmp     common
        .set    vector, vector + 1
        .endr

common: pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        cld
        call    on_interrupt
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rbp
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbx
        popq    %rax
        addq    $16, %rsp
        iretq

/* --- other processors: copied to TRAMPOLINE --- */

        .code16
        .globl  trampoline, trampoline_end
trampoline:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   TRAMPOLINE + (3f - trampoline)
        movl    $0x11, %eax
        movl    %eax, %cr0
        ljmpl   $0x20, $TRAMPOLINE + (2f - trampoline)
        .code32
2:      movl    $0x10, %eax
        movl    %eax, %ds
        movl    $enter_long, %eax
        jmp     *%eax
        .align  4
3:      .word   5 * 8 - 1
        .long   gdt
trampoline_end:

        .data
        .align  8
gdt:    .quad   0
        .quad   0x00209a0000000000      /* 08: 64-bit code */
        .quad   0x00cf92000000ffff      /* 10: data */
        .quad   0x00cf12000000ffff      /* 18: data, not present */
        .quad   0x00cf9a000000ffff      /* 20: 32-bit code */
gdt_pointer:
        .word   5 * 8 - 1
        .quad   gdt
        .align  8
        .word   0, 0, 0
idt_pointer:
        .word   256 * 16 - 1
        .quad   idt
        .globl  start_info
start_info:     .long 0
next_stack:     .long 0

        .bss
        .align  4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4 * 4096
        .globl  idt
idt:    .skip   4096
stacks: .skip   8 * STACK
        .section .note.GNU-stack, "", @progbits
