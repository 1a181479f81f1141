/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_build.c: bytes to one block: decodes, chooses handlers, lays out links.
 *
 * Threads: any; no state.
 */
#include "drivers/emu/block_build.h"

#include <string.h>

#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_exec_flow.h"

/* Decodes instruction number block->count. */
static emu_decode_status decode(const emu_build *how, emu_block *block,
                                unsigned off)
{
    emu_insn *insn = &block->insn[block->count];
    uint8_t bytes[EMU_INSN_LEN_MAX];
    unsigned n = MIN(how->left, EMU_INSN_LEN_MAX);

    if (how->host2 == NULL)
        return emu_decode(insn, how->host + off, how->left - off, how->key,
                          how->features, off);
    memcpy(bytes, how->host, n);
    memcpy(bytes + n, how->host2, EMU_INSN_LEN_MAX - n);
    return emu_decode(insn, bytes, EMU_INSN_LEN_MAX, how->key, how->features,
                      off);
}

/* Whether the instruction may run on into the one behind it. */
static bool falls_through(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_INVALID:
    case EMU_OP_JMP:
    case EMU_OP_CALL:
    case EMU_OP_RET:
    case EMU_OP_JCC:
    case EMU_OP_LOOP:
    case EMU_OP_LOOPE:
    case EMU_OP_LOOPNE:
    case EMU_OP_JCXZ:
        return false; /* conditional ones have a link for that */
    default:
        return true;
    }
}

/* How many links the last instruction of a block needs. */
static unsigned links_of(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_JMP:
    case EMU_OP_NEXT:
        return 1;
    case EMU_OP_CALL:
    case EMU_OP_JCC:
    case EMU_OP_LOOP:
    case EMU_OP_LOOPE:
    case EMU_OP_LOOPNE:
    case EMU_OP_JCXZ:
        return 2;
    default:
        return 0;
    }
}

/* How many of them, from the first, may be near ones. */
static unsigned near_links_of(const emu_insn *insn)
{
    if (insn->form != EMU_FORM_I)
        return 0;
    return insn->op == EMU_OP_CALL ? 1 : links_of(insn);
}

/* Compare and branch, and the like, in one handler. */
static void fuse(emu_block *block, const emu_insn *last)
{
    emu_insn *before = &block->insn[block->slots - 2];
    emu_exec_fn *exec;

    if (last->op != EMU_OP_JCC || block->slots < 2)
        return;
    exec = emu_exec_find_fused(before);
    if (exec != NULL)
        before->exec = exec;
}

static void link_up(const emu_build *how, emu_block *block)
{
    emu_insn *last = &block->insn[block->slots - 1];
    bool linear = how->key & (EMU_MODE_CS64 | EMU_MODE_FLAT);
    bool narrow = last->opsize == 2 && last->op != EMU_OP_NEXT;
    int64_t to[2] = { 0, last->off + last->len };
    unsigned n_near = near_links_of(last);
    bool near = n_near > 0;
    emu_exec_fn *exec;
    emu_link *links;

    block->n_links = 0;
    if (!linear || narrow || how->key & EMU_MODE_STEP)
        return;
    block->n_links = (uint8_t)links_of(last);
    to[0] = to[1] + (last->op == EMU_OP_NEXT ? 0 : last->imm);
    for (unsigned i = 0; i < n_near; i++)
        if (((how->la + (uint64_t)to[i]) ^ how->la) & EMU_PAGE_MASK)
            near = false;
    exec = emu_exec_find_linked(last, how->key, &near);
    if (exec == NULL) {
        block->n_links = 0;
        return;
    }
    last->exec = exec;
    links = emu_block_links(block);
    for (unsigned i = 0; i < block->n_links; i++) {
        links[i] = (emu_link){ .block = NULL };
        if (near && i < n_near) {
            links[i].key = EMU_LINK_NEAR;
            links[i].rip = (uint64_t)to[i];
        }
    }
    if (near)
        fuse(block, last);
}

bool emu_block_build(const emu_build *how, emu_block *block)
{
    unsigned max = how->key & EMU_MODE_STEP || how->host2 != NULL
                       ? 1
                       : EMU_BLOCK_INSNS_MAX;
    bool open = true; /* the last instruction goes on to the next */
    unsigned off = 0;

    memset(block, 0, sizeof *block);
    block->gpa2 = EMU_BLOCK_NONE;
    block->key = how->key;
    while (block->count < max) {
        emu_insn *insn = &block->insn[block->count];
        emu_decode_status status = decode(how, block, off);

        if (status == EMU_DECODE_RESTART)
            break;
        if (status == EMU_DECODE_MORE) {
            if (block->count == 0)
                return false;
            break;
        }
        if (status == EMU_DECODE_TOO_LONG) {
            insn->op = EMU_OP_INVALID;
            insn->len = 0;
            insn->flags |= EMU_I_ENDS;
            insn->exec = emu_exec_too_long;
            off += EMU_INSN_LEN_MAX; /* that many bytes decided it */
        } else {
            insn->exec = emu_exec_find(insn);
            off += insn->len;
        }
        block->count++;
        open = falls_through(insn);
        if (insn->flags & EMU_I_ENDS)
            break;
    }
    block->len = (uint16_t)off;
    block->slots = block->count;
    if (open) {
        emu_insn *next = &block->insn[block->slots++];

        memset(next, 0, sizeof *next);
        next->op = EMU_OP_NEXT;
        next->off = (uint16_t)off;
        next->opsize = 8;
        next->exec = emu_exec_find(next);
    }
    block->insn[0].pad = block->count;
    link_up(how, block);
    return true;
}
