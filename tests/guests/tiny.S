/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tiny.S: the small test guest: a multiboot 1 image of one page. It greets on
 * COM1, then does what the first letter of its command line says:
 *
 *   p  power off through ACPI's ports   r  reset through port 0xcf9
 *   h  HLT for ever, interrupts off     s  spin for ever
 *   t  triple fault                     e  echo COM1 input; 'q' powers off
 *   x  debug-exit with 3 (status 7)     g  write garbage to every port and to
 *   j  jump to where nothing is            addresses without RAM, then power off
 *   w  wait for the power button (polled), then power off
 *   u  reset after printing, for ever   m  print the memory size from multiboot
 *   k  as g, but one in 16 of the ports from 0x1000 on: an access can be slow
 *
 * It reads no ACPI tables: what one board has at a port does no harm on the
 * other.
 *
 * Spec: Multiboot Specification 0.6.96, 3.1 and 3.2; ACPI 6.5, 4.8.3.
 */
        .set    COM1, 0x3f8
        .set    PM1_STS, 0x600
        .set    PM1_CNT, 0x604
        .set    S5, 0x3400              /* SLP_EN, SLP_TYP 5 */
        .set    SLEEP_CONTROL, 0x600    /* of reduced hardware */
        .set    SLEEP_S5, 0x34
        .set    EVENTS, 0x602

        .text
        .code32
        .globl  _start
header:
        .long   0x1badb002
        .long   3                       /* page align, memory information */
        .long   -(0x1badb002 + 3)

_start: movl    $stack_top, %esp
        movl    %ebx, %ebp              /* multiboot information */
        movw    $COM1 + 1, %dx          /* no serial interrupts */
        xorb    %al, %al
        outb    %al, %dx
        movl    $greeting, %esi
        call    puts
        testl   $4, (%ebp)              /* is there a command line? */
        jz      power_off
        movl    16(%ebp), %esi
        call    puts_line
        movl    16(%ebp), %esi
        testb   $~' ', 1(%esi)          /* one letter, or the file first? */
        jz      2f
1:      lodsb
        testb   %al, %al
        jz      power_off
        cmpb    $' ', %al
        jne     1b
2:      movb    (%esi), %al
        cmpb    $'p', %al
        je      power_off
        cmpb    $'h', %al
        je      halt
        cmpb    $'s', %al
        je      spin
        cmpb    $'t', %al
        je      triple
        cmpb    $'r', %al
        je      reset
        cmpb    $'u', %al
        je      reset
        cmpb    $'e', %al
        je      echo
        cmpb    $'x', %al
        je      debug_exit
        movl    $1, %ecx
        cmpb    $'g', %al
        je      garbage
        movl    $16, %ecx
        cmpb    $'k', %al
        je      garbage
        cmpb    $'j', %al
        je      nowhere
        cmpb    $'w', %al
        je      wait_button
        cmpb    $'m', %al
        je      memory

power_off:
        movl    $goodbye, %esi
        call    puts
        movw    $SLEEP_CONTROL, %dx
        movb    $SLEEP_S5, %al
        outb    %al, %dx
        movw    $PM1_CNT, %dx
        movw    $S5, %ax
        outw    %ax, %dx
halt:   cli
1:      hlt
        jmp     1b

spin:   cli
1:      jmp     1b

triple: lidt    no_idt
        int3

reset:  movw    $0xcf9, %dx
        movb    $2, %al
        outb    %al, %dx
        movb    $6, %al
        outb    %al, %dx
        jmp     halt

debug_exit:
        movw    $0xf4, %dx
        movl    $3, %eax
        outl    %eax, %dx
        jmp     halt

nowhere:
        movl    $0xdead0000, %eax
        jmp     *%eax

echo:   movw    $COM1 + 5, %dx
1:      inb     %dx, %al
        testb   $1, %al
        jz      1b
        movw    $COM1, %dx
        inb     %dx, %al
        cmpb    $'q', %al
        je      power_off
        call    putc
        jmp     echo

wait_button:
        movw    $PM1_STS, %dx
1:      inw     %dx, %ax
        testw   $0x100, %ax             /* PWRBTN_STS */
        jnz     power_off
        movw    $EVENTS, %dx
        inb     %dx, %al
        testb   $1, %al                 /* the button; 0 on the other board */
        jnz     power_off
        jmp     wait_button

memory: movl    8(%ebp), %eax           /* mem_upper, KiB */
        movl    $8, %ecx
1:      roll    $4, %eax
        pushl   %eax
        andb    $15, %al
        addb    $'0', %al
        cmpb    $'9', %al
        jbe     2f
        addb    $'a' - '9' - 1, %al
2:      call    putc
        popl    %eax
        decl    %ecx
        jnz     1b
        movl    $newline, %esi
        call    puts
        jmp     power_off

/* Every port but those that end or reset the machine, all sizes; then MMIO.
 * ECX: the step from 0x1000 on. */
garbage:
        xorl    %edx, %edx
1:      movl    $spared, %esi
2:      movl    (%esi), %eax            /* first | last << 16; 0 ends */
        addl    $4, %esi
        testl   %eax, %eax
        jz      5f
        cmpw    %ax, %dx
        jb      2b
        shrl    $16, %eax
        cmpw    %ax, %dx
        ja      2b
        jmp     3f
5:      movl    %edx, %eax
        imull   $0x9e3779b1, %eax
        outb    %al, %dx
        outw    %ax, %dx
        outl    %eax, %dx
        inb     %dx, %al
        inw     %dx, %ax
        inl     %dx, %eax
3:      cmpw    $0x1000, %dx
        jae     4f
        incw    %dx
        jmp     1b
4:      addw    %cx, %dx
        jnz     1b
        movl    $0xe0000000, %edi       /* ECAM .. the top, in steps */
1:      movl    %edi, %eax
        imull   $0x9e3779b1, %eax
        movl    %eax, (%edi)
        movb    %al, 1(%edi)
        movw    %ax, 3(%edi)
        movl    (%edi), %ecx
        movb    2(%edi), %cl
        addl    $0x1004, %edi
        cmpl    $0xfec00000, %edi
        jb      1b
        jmp     power_off

puts_line:
        call    puts
        movl    $newline, %esi
puts:   lodsb
        testb   %al, %al
        jz      1f
        call    putc
        jmp     puts
1:      ret

putc:   pushl   %edx
        pushl   %eax
        movw    $COM1 + 5, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popl    %eax
        movw    $COM1, %dx
        outb    %al, %dx
        popl    %edx
        ret

greeting:       .asciz  "tiny: hello "
goodbye:        .asciz  "tiny: goodbye\n"
newline:        .asciz  "\n"
        .align  4
/* First and last port of which an access up to 4 bytes wide is spared. */
spared:         .word   0x61, 0x64      /* keyboard controller's commands */
                .word   0x8f, 0x92      /* system control port A */
                .word   0x3f5, 0x3ff    /* the console */
                .word   0x5fd, 0x605    /* PM1a_CNT, sleep control */
                .word   0xcf6, 0xcf9    /* reset */
                .word   0, 0
no_idt:         .word   0
                .long   0
        .bss
        .align  16
        .skip   1024
stack_top:
