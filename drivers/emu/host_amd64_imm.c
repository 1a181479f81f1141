/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_amd64_imm.c: the stubs that host_amd64_imm.h describes.
 *
 * Threads: any; no state.
 */
#include "drivers/emu/host_amd64_imm.h"

/* `text` with the immediate %0 spelled $host_imm. */
#define STUBS(op, text)                                            \
    __asm__(".pushsection .text.emu_host_imm, \"ax\", @progbits\n" \
            ".balign 64\n"                                         \
            ".globl emu_host_" #op "\n"                            \
            ".hidden emu_host_" #op "\n"                           \
            ".type emu_host_" #op ", @function\n"                  \
            "emu_host_" #op ":\n"                                  \
            ".set host_imm, 0\n"                                   \
            ".rept 256\n"                                          \
            ".balign 8, 0xcc\n" text "\n"                          \
            "ret\n"                                                \
            ".set host_imm, host_imm + 1\n"                        \
            ".endr\n"                                              \
            ".size emu_host_" #op ", . - emu_host_" #op "\n"       \
            ".popsection\n")
#define STUBS_2(op) STUBS(op, #op " $host_imm, %xmm1, %xmm0")

STUBS_2(pshufd);
STUBS_2(pshuflw);
STUBS_2(pshufhw);
STUBS_2(shufps);
STUBS_2(shufpd);
STUBS_2(cmpps);
STUBS_2(cmppd);
STUBS_2(cmpss);
STUBS_2(cmpsd);
STUBS_2(palignr);
STUBS_2(roundps);
STUBS_2(roundpd);
STUBS_2(roundss);
STUBS_2(roundsd);
STUBS_2(blendps);
STUBS_2(blendpd);
STUBS_2(pblendw);
STUBS_2(insertps);
STUBS_2(dpps);
STUBS_2(dppd);
STUBS_2(mpsadbw);
STUBS_2(aeskeygenassist);
STUBS_2(pclmulqdq);
STUBS_2(sha1rnds4);
STUBS_2(pcmpestrm);
STUBS_2(pcmpestri);
STUBS_2(pcmpistrm);
STUBS_2(pcmpistri);
