/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_run_guest.S: the guest programs of test_run.c, between labels. */

#define STOP 0xf4

        .section .rodata
        .macro PROGRAM name
        .balign 16
        .globl guest_\name
guest_\name:
        .endm
        .macro PROGRAM_END name
        .globl guest_\name\()_end
guest_\name\()_end:
        .endm

        .code64

/* RAX = checksum over RCX rounds of loads, stores, multiplies, shifts, calls. */
        PROGRAM checksum
        mov $100000, %ecx
        mov $0x9e3779b97f4a7c15, %rbx
        xor %eax, %eax
        mov $0x300000, %edi
1:      call 2f
        dec %rcx
        jnz 1b
        out %al, $STOP
        hlt
2:      imul %rbx, %rax
        add %rcx, %rax
        mov %eax, %edx
        and $0xfff8, %edx
        xor %rax, (%rdi,%rdx)
        mov (%rdi,%rdx), %rsi
        rol $13, %rsi
        cmp %rsi, %rax
        jae 3f
        add %rsi, %rax
        adc $0, %rax
3:      test $1, %al
        je 4f
        shr $1, %rax
4:      push %rax
        pop %r8
        ret
        PROGRAM_END checksum

/* Each round changes the immediate of the instruction right behind the store,
 * in the same block. EAX = sum of 1..1000. */
        PROGRAM patch
        mov $1000, %ecx
        xor %eax, %eax
1:      lea 2f+1(%rip), %rdx
        mov %ecx, (%rdx)
2:      mov $0x12345678, %ebx
        add %ebx, %eax
        dec %ecx
        jnz 1b
        out %al, $STOP
        hlt
        PROGRAM_END patch

/* A string store rewrites a subroutine that has run: EAX = 1 + 2 * 100. */
        PROGRAM rewrite
        xor %eax, %eax
        call 5f
        lea 5f(%rip), %rdi
        lea 6f(%rip), %rsi
        mov $(7f - 6f), %ecx
        rep movsb
        mov $100, %ecx
1:      call 5f
        dec %ecx
        jnz 1b
        out %al, $STOP
        hlt
5:      add $1, %eax
        ret
        nop
        nop
6:      add $2, %eax
        ret
7:
        PROGRAM_END rewrite

/* Padding puts an instruction across the page that begins at `next`. */
        PROGRAM crossing
        xor %eax, %eax
        mov $10000, %ecx
        lea 2f+2(%rip), %rdx
        jmp 1f
        .org guest_crossing + 0x1000 - 3
1:
2:      add $0x01020304, %eax
        addl $1, (%rdx)
        dec %ecx
        jnz 1b
        out %al, $STOP
        hlt
        PROGRAM_END crossing

/* Interrupts stay out while IF is 0, and for one instruction after STI. */
        PROGRAM interrupt
        mov $100000, %ecx
1:      dec %ecx
        jnz 1b
        mov $1, %ebx
        sti
        mov $2, %ebx
        mov $3, %ebx
        mov $4, %ebx
        out %al, $STOP
        hlt
        PROGRAM_END interrupt

/* From now on gate 2 leads to `label`; stops once to say so. */
        .macro NMI_HANDLER label
        sub $16, %rsp
        sidt (%rsp)
        mov 2(%rsp), %rdi
        add $16, %rsp
        lea \label(%rip), %rax
        mov %ax, 2*16(%rdi)
        shr $16, %rax
        mov %ax, 2*16+6(%rdi)
        out %al, $STOP
        .endm

/* Takes NMIs in a loop of STI. EBX counts them; EDX those that came right behind
 * STI, ECX those right behind MOV SS. */
        PROGRAM nmi_shadow
        lea 3f(%rip), %rsi
        lea 4f(%rip), %rbp
        xor %ebx, %ebx
        xor %edx, %edx
        xor %ecx, %ecx
        mov %ss, %r8d
        NMI_HANDLER 5f
1:      sti
3:      nop
        nop
        cli
        mov %r8d, %ss
4:      nop
        nop
        cmp $2000, %ebx
        jb 1b
        out %al, $STOP
        hlt
5:      inc %ebx
        cmp %rsi, (%rsp)
        jne 6f
        inc %edx
6:      cmp %rbp, (%rsp)
        jne 7f
        inc %ecx
7:      iretq
        PROGRAM_END nmi_shadow

/* EBX: how many NMIs have come by the end of a loop. */
        PROGRAM nmi_count
        xor %ebx, %ebx
        NMI_HANDLER 5f
        mov $1000, %ecx
1:      dec %ecx
        jnz 1b
        out %al, $STOP
        hlt
5:      inc %ebx
        iretq
        PROGRAM_END nmi_count

/* Waits for an interrupt. */
        PROGRAM halt
        sti
        hlt
        mov $7, %ebx
        out %al, $STOP
        hlt
        PROGRAM_END halt

        PROGRAM forever
1:      jmp 1b
        PROGRAM_END forever

        PROGRAM bad_opcode
        mov $5, %ebx
        ud2
        mov $6, %ebx
        PROGRAM_END bad_opcode

        PROGRAM divide
        xor %ecx, %ecx
        mov $5, %ebx
        div %ecx
        mov $6, %ebx
        PROGRAM_END divide

/* Touches linear 64 GiB, which is not mapped. */
        PROGRAM page_fault
        mov $0x1000000010, %rdx
        mov $5, %ebx
        cmpb $0, (%rdx)
        je 1f
1:      mov $6, %ebx
        PROGRAM_END page_fault

/* Reads and writes a device; the byte order and sizes show in EAX and EBX. */
        PROGRAM device
        mov $0xfe000000, %edx
        mov 0x123(%rdx), %eax
        movzbl 0x77(%rdx), %ebx
        movl $0x11223344, 8(%rdx)
        out %al, $STOP
        hlt
        PROGRAM_END device

/* Sets TF; the trap comes after the instruction that follows POPF. */
        PROGRAM step
        pushf
        orl $0x100, (%rsp)
        popf
        mov $1, %ebx
        mov $2, %ebx
        PROGRAM_END step

/* Calls through a table, as switch statements and function pointers do. */
        PROGRAM indirect
        mov $30000, %ecx
        xor %eax, %eax
        lea 9f(%rip), %rbp
1:      mov %ecx, %edx
        and $3, %edx
        movslq (%rbp,%rdx,4), %rsi
        add %rbp, %rsi
        call *%rsi
        loop 1b
        out %al, $STOP
        hlt
2:      add $1, %eax
        ret
3:      add $10, %eax
        ret
4:      add $100, %eax
        ret
5:      lea 4b(%rip), %rdi
        jmp *%rdi
        .balign 4
9:      .long 2b - 9b, 3b - 9b, 4b - 9b, 5b - 9b
        PROGRAM_END indirect

/* Calls nest deeper than any memory of return addresses; then some return to
 * where nobody called from. EAX = 1000 * (1 + .. + 100) + 1000 * 7. */
        PROGRAM returns
        mov $1000, %edx
        xor %eax, %eax
1:      mov $100, %ecx
        call 3f
        lea 2f(%rip), %rsi
        push %rsi
        add $7, %eax
        ret
        ud2
2:      call 4f
        ud2
6:      dec %edx
        jnz 1b
        out %al, $STOP
        hlt
3:      add %ecx, %eax
        dec %ecx
        jz 5f
        call 3b
5:      ret
4:      lea 6b(%rip), %rsi
        mov %rsi, (%rsp)
        ret $0
        PROGRAM_END returns

        .code32

        PROGRAM flat32
        mov $5000, %ecx
        xor %eax, %eax
1:      add %ecx, %eax
        push %eax
        call 2f
        pop %edx
        xor %edx, %eax
        dec %ecx
        jnz 1b
        out %al, $STOP
        hlt
2:      mov 4(%esp), %eax
        rol $3, %eax
        ret
        PROGRAM_END flat32

        .code16

/* Real mode: near and far calls, LOOP, string instructions, segments. */
        PROGRAM real16
        xor %ax, %ax
        mov $500, %cx
1:      add %cx, %ax
        call 2f
        loop 1b
        mov $0x2000, %bx
        mov %bx, %es
        xor %di, %di
        mov $8, %cx
        cld
        rep stosw
        mov %es:14, %bx
        out %al, $STOP
        hlt
2:      xor $0x55, %ax
        ret
        PROGRAM_END real16

        .section .note.GNU-stack, "", @progbits
