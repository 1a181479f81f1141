/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_flow.c: near jumps, calls, returns and loops; block ends.
 *
 * Each direct branch comes in three kinds: by near links, by guarded links (see
 * block_cache.h), and plain, which leaves for a look-up each time: for code
 * whose RIP is not its linear address, and while single-stepping.
 *
 * Spec:    Intel SDM vol. 2A and 2B, CALL, JMP, Jcc, LOOP, RET.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_flow.h"

#include "drivers/emu/guest_x86_operand.h"
#include "drivers/emu/guest_x86_segment.h"

#define HANDLER(name) \
    static const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)

/* --- by links --- */

const emu_insn *emu_near_miss(emu_cpu *cpu, emu_link *link)
{
    cpu->pending_link = link;
    return emu_leave(cpu, cpu->regs[EMU_REG_RIP] + link->rip);
}

static const emu_insn *guarded_miss(emu_cpu *cpu, emu_link *link, uint64_t rip)
{
    cpu->pending_link = link;
    return emu_leave(cpu, rip);
}

static inline const emu_insn *go_guarded(emu_cpu *cpu, emu_link *link,
                                         uint64_t rip)
{
    if (G_UNLIKELY(!emu_link_holds(cpu, link, rip)) || emu_exit_wanted(cpu))
        return guarded_miss(cpu, link, rip);
    cpu->regs[EMU_REG_RIP] = rip;
    return emu_enter(cpu, link->block);
}

static inline uint64_t target_of(const emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t rip = cpu->regs[EMU_REG_RIP] + insn->off + insn->len +
                   (uint64_t)(int64_t)insn->imm;

    return cpu->mode & EMU_MODE_CS64 ? rip : (uint32_t)rip;
}

static inline const emu_insn *branch_near(emu_cpu *cpu, const emu_insn *insn,
                                          bool taken)
{
    return emu_go_near(cpu, emu_links_behind(insn) + (taken ? 0 : 1));
}

static inline const emu_insn *branch_guarded(emu_cpu *cpu, const emu_insn *insn,
                                             bool taken)
{
    return taken ? go_guarded(cpu, emu_links_behind(insn), target_of(cpu, insn))
                 : go_guarded(cpu, emu_links_behind(insn) + 1,
                              emu_next_rip(cpu, insn));
}

#define JCC(n)                                               \
    HANDLER(jcc_near_##n)                                    \
    {                                                        \
        if (emu_cond(cpu, n))                                \
            return emu_go_near(cpu, emu_links_behind(insn)); \
        return emu_go_near(cpu, emu_links_behind(insn) + 1); \
    }                                                        \
    HANDLER(jcc_guarded_##n)                                 \
    {                                                        \
        return branch_guarded(cpu, insn, emu_cond(cpu, n));  \
    }
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)
#undef JCC

#define JCC_TABLE(kind)                                                        \
    {                                                                          \
        jcc_##kind##_0, jcc_##kind##_1, jcc_##kind##_2, jcc_##kind##_3,        \
            jcc_##kind##_4, jcc_##kind##_5, jcc_##kind##_6, jcc_##kind##_7,    \
            jcc_##kind##_8, jcc_##kind##_9, jcc_##kind##_10, jcc_##kind##_11,  \
            jcc_##kind##_12, jcc_##kind##_13, jcc_##kind##_14, jcc_##kind##_15 \
    }

HANDLER(jmp_near)
{
    return emu_go_near(cpu, emu_links_behind(insn));
}

HANDLER(jmp_guarded)
{
    return go_guarded(cpu, emu_links_behind(insn), target_of(cpu, insn));
}

HANDLER(next_guarded)
{
    return go_guarded(cpu, emu_links_behind(insn), emu_next_rip(cpu, insn));
}

/* --- where a branch may go --- */

/* A branch that leads out of the code segment, or to a non-canonical address,
 * faults itself and does nothing. */
static inline bool may_go_to(const emu_cpu *cpu, uint64_t rip)
{
    return cpu->mode & EMU_MODE_CS64 ? emu_canonical(rip)
                                     : rip <= cpu->seg[VSR_X86_CS].limit;
}

static inline void check_target(emu_cpu *cpu, const emu_insn *insn,
                                uint64_t rip)
{
    if (G_UNLIKELY(!may_go_to(cpu, rip)))
        emu_raise_code(cpu, insn, EMU_GP, 0);
}

static inline void check_target64(emu_cpu *cpu, const emu_insn *insn,
                                  uint64_t rip)
{
    if (G_UNLIKELY(!emu_canonical(rip)))
        emu_raise_code(cpu, insn, EMU_GP, 0);
}

/* --- calls and returns of 64-bit code --- */

/* Remember where the call returns to. */
static inline void note_call(emu_cpu *cpu, emu_link *link, uint64_t rip)
{
    if (G_UNLIKELY(link->rip != rip))
        *link = (emu_link){ .rip = rip };
    cpu->ret_top = (cpu->ret_top + 1) % EMU_RET_RING;
    cpu->ret_ring[cpu->ret_top] = link;
}

/* Pushes the return address; `slow` where the TLB has no match for the
 * stack. */
#define PUSH_RETURN_OR(slow)                                           \
    do {                                                               \
        uint64_t sp = cpu->regs[VSR_X86_RSP] - 8;                      \
        uint64_t ret = cpu->regs[EMU_REG_RIP] + insn->off + insn->len; \
        void *p;                                                       \
                                                                       \
        EMU_HOST_OR(slow, write_tag, 64, sp, p);                       \
        emu_put64(p, ret);                                             \
        cpu->regs[VSR_X86_RSP] = sp;                                   \
        note_call(cpu, emu_links_behind(insn) + 1, ret);               \
    } while (0)

static void push_return(emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t ret = emu_next_rip(cpu, insn);

    emu_push(cpu, insn, 8, ret);
    note_call(cpu, emu_links_behind(insn) + 1, ret);
}

/* Tries the jump cache; what it has goes into `link` as well. */
static const emu_insn *go_missed(emu_cpu *cpu, emu_link *link, uint64_t rip)
{
    const emu_link *jump = emu_jump_at(cpu, rip);

    if (!emu_link_holds(cpu, jump, rip) || emu_exit_wanted(cpu)) {
        cpu->pending_link = link;
        return emu_leave(cpu, rip);
    }
    *link = *jump;
    cpu->regs[EMU_REG_RIP] = rip;
    return emu_enter(cpu, jump->block);
}

static inline const emu_insn *go_cached(emu_cpu *cpu, emu_link *link,
                                        uint64_t rip)
{
    if (G_UNLIKELY(!emu_link_holds(cpu, link, rip)) || emu_exit_wanted(cpu))
        return go_missed(cpu, link, rip);
    cpu->regs[EMU_REG_RIP] = rip;
    return emu_enter(cpu, link->block);
}

EMU_SLOW_HANDLER(call64_near_slow)
{
    push_return(cpu, insn);
    return emu_go_near(cpu, emu_links_behind(insn));
}

HANDLER(call64_near)
{
    PUSH_RETURN_OR(call64_near_slow);
    return emu_go_near(cpu, emu_links_behind(insn));
}

EMU_SLOW_HANDLER(call64_guarded_slow)
{
    push_return(cpu, insn);
    return go_cached(cpu, emu_links_behind(insn), target_of(cpu, insn));
}

HANDLER(call64_guarded)
{
    PUSH_RETURN_OR(call64_guarded_slow);
    return go_cached(cpu, emu_links_behind(insn), target_of(cpu, insn));
}

EMU_SLOW_HANDLER(call64_reg_slow)
{
    uint64_t rip = cpu->regs[insn->reg];

    check_target64(cpu, insn, rip);
    push_return(cpu, insn);
    return go_cached(cpu, emu_links_behind(insn), rip);
}

HANDLER(call64_reg)
{
    uint64_t rip = cpu->regs[insn->reg];

    check_target64(cpu, insn, rip);
    PUSH_RETURN_OR(call64_reg_slow);
    return go_cached(cpu, emu_links_behind(insn), rip);
}

HANDLER(call64_mem)
{
    uint64_t rip = emu_load64(cpu, insn, emu_ea(cpu, insn, 8, EMU_READ));

    check_target64(cpu, insn, rip);
    push_return(cpu, insn);
    return go_cached(cpu, emu_links_behind(insn), rip);
}

HANDLER(jmp64_reg)
{
    uint64_t rip = cpu->regs[insn->reg];

    check_target64(cpu, insn, rip);
    return go_cached(cpu, emu_links_behind(insn), rip);
}

HANDLER(jmp64_mem)
{
    uint64_t rip = emu_load64(cpu, insn, emu_ea(cpu, insn, 8, EMU_READ));

    check_target64(cpu, insn, rip);
    return go_cached(cpu, emu_links_behind(insn), rip);
}

static const emu_insn *ret_missed(emu_cpu *cpu, const emu_insn *insn,
                                  emu_link *link, uint64_t rip)
{
    if (G_UNLIKELY(!emu_canonical(rip))) {
        cpu->regs[VSR_X86_RSP] -= 8 + (uint64_t)insn->imm;
        emu_raise_code(cpu, insn, EMU_GP, 0);
    }
    /* Another call's: leave it as it is. */
    if (link->rip != rip)
        return emu_jump(cpu, rip);
    return go_missed(cpu, link, rip);
}

/* RSP has moved already; ret_missed() takes that back where it must. */
static inline const emu_insn *go_return(emu_cpu *cpu, const emu_insn *insn,
                                        uint64_t rip)
{
    emu_link *link = cpu->ret_ring[cpu->ret_top];

    cpu->ret_top = (cpu->ret_top - 1) % EMU_RET_RING;
    if (G_UNLIKELY(!emu_link_holds(cpu, link, rip)) || emu_exit_wanted(cpu))
        return ret_missed(cpu, insn, link, rip);
    cpu->regs[EMU_REG_RIP] = rip;
    return emu_enter(cpu, link->block);
}

EMU_SLOW_HANDLER(ret64_slow)
{
    uint64_t rip = emu_stack_read(cpu, insn, 0, 8);

    emu_stack_adjust(cpu, 8 + (int64_t)insn->imm);
    return go_return(cpu, insn, rip);
}

HANDLER(ret64)
{
    uint64_t sp = cpu->regs[VSR_X86_RSP];
    const void *p;

    EMU_HOST_OR(ret64_slow, read_tag, 64, sp, p);
    cpu->regs[VSR_X86_RSP] = sp + 8;
    return go_return(cpu, insn, emu_get64(p));
}

/* --- flat 32-bit code --- */

static void push_return32(emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t ret = emu_next_rip(cpu, insn);

    emu_push(cpu, insn, 4, ret);
    note_call(cpu, emu_links_behind(insn) + 1, ret);
}

#define PUSH_RETURN32_OR(slow)                                          \
    do {                                                                \
        uint64_t sp = (uint32_t)(cpu->regs[VSR_X86_RSP] - 4);           \
        uint64_t ret =                                                  \
            (uint32_t)(cpu->regs[EMU_REG_RIP] + insn->off + insn->len); \
        void *p;                                                        \
                                                                        \
        EMU_HOST_OR(slow, write_tag, 32, sp, p);                        \
        emu_put32(p, (uint32_t)ret);                                    \
        cpu->regs[VSR_X86_RSP] = sp;                                    \
        note_call(cpu, emu_links_behind(insn) + 1, ret);                \
    } while (0)

EMU_SLOW_HANDLER(call32_near_slow)
{
    push_return32(cpu, insn);
    return emu_go_near(cpu, emu_links_behind(insn));
}

HANDLER(call32_near)
{
    PUSH_RETURN32_OR(call32_near_slow);
    return emu_go_near(cpu, emu_links_behind(insn));
}

EMU_SLOW_HANDLER(call32_guarded_slow)
{
    push_return32(cpu, insn);
    return go_cached(cpu, emu_links_behind(insn), target_of(cpu, insn));
}

HANDLER(call32_guarded)
{
    PUSH_RETURN32_OR(call32_guarded_slow);
    return go_cached(cpu, emu_links_behind(insn), target_of(cpu, insn));
}

EMU_SLOW_HANDLER(ret32_slow)
{
    uint64_t rip = emu_stack_read(cpu, insn, 0, 4);

    emu_stack_adjust(cpu, 4 + (int64_t)insn->imm);
    return go_return(cpu, insn, rip);
}

HANDLER(ret32)
{
    uint64_t sp = (uint32_t)cpu->regs[VSR_X86_RSP];
    const void *p;

    EMU_HOST_OR(ret32_slow, read_tag, 32, sp, p);
    cpu->regs[VSR_X86_RSP] = (uint32_t)(sp + 4);
    return go_return(cpu, insn, emu_get32(p));
}

/* Counts CX, ECX or RCX down; the new value. */
static inline uint64_t count_down(emu_cpu *cpu, const emu_insn *insn)
{
    unsigned asize = insn->mem & EMU_MEM_ASIZE;
    uint64_t count = emu_cut(cpu->regs[VSR_X86_RCX] - 1, asize);

    if (asize == EMU_MEM_A16)
        EMU_R16(cpu, VSR_X86_RCX) = (uint16_t)count;
    else
        cpu->regs[VSR_X86_RCX] = count;
    return count;
}

static inline bool loop_taken(emu_cpu *cpu, const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_JCXZ:
        return emu_cut(cpu->regs[VSR_X86_RCX], insn->mem & EMU_MEM_ASIZE) == 0;
    case EMU_OP_LOOPE:
        return count_down(cpu, insn) != 0 && emu_zf(cpu);
    case EMU_OP_LOOPNE:
        return count_down(cpu, insn) != 0 && !emu_zf(cpu);
    default:
        return count_down(cpu, insn) != 0;
    }
}

HANDLER(loop_near)
{
    return branch_near(cpu, insn, loop_taken(cpu, insn));
}

HANDLER(loop_guarded)
{
    return branch_guarded(cpu, insn, loop_taken(cpu, insn));
}

emu_exec_fn *emu_exec_find_linked(const emu_insn *insn, uint32_t mode,
                                  bool *near)
{
    static emu_exec_fn *const jcc_near[16] = JCC_TABLE(near);
    static emu_exec_fn *const jcc_guarded[16] = JCC_TABLE(guarded);

    switch (insn->op) {
    case EMU_OP_JCC:
        return *near ? jcc_near[insn->cond] : jcc_guarded[insn->cond];
    case EMU_OP_JMP:
        if (insn->form == EMU_FORM_I)
            return *near ? jmp_near : jmp_guarded;
        if (!(mode & EMU_MODE_CS64))
            return NULL;
        return insn->form == EMU_FORM_R ? jmp64_reg : jmp64_mem;
    case EMU_OP_CALL:
        if (mode & EMU_MODE_CS64)
            return insn->form == EMU_FORM_R   ? call64_reg
                   : insn->form == EMU_FORM_M ? call64_mem
                   : *near                    ? call64_near
                                              : call64_guarded;
        if (insn->form != EMU_FORM_I)
            return NULL;
        return *near ? call32_near : call32_guarded;
    case EMU_OP_LOOP:
    case EMU_OP_LOOPE:
    case EMU_OP_LOOPNE:
    case EMU_OP_JCXZ:
        return *near ? loop_near : loop_guarded;
    case EMU_OP_NEXT:
        /* What follows may be a block that crosses into the next page, which a
         * near link cannot lead to. */
        *near = false;
        return next_guarded;
    default:
        return NULL;
    }
}

/* --- plain --- */

/* Cut to the width of RIP that the operand size gives. */
static inline uint64_t cut_rip(const emu_insn *insn, uint64_t rip)
{
    return insn->opsize == 8   ? rip
           : insn->opsize == 4 ? (uint32_t)rip
                               : (uint16_t)rip;
}

static uint64_t direct_target(const emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t rip = cpu->regs[EMU_REG_RIP] + insn->off + insn->len +
                   (uint64_t)(int64_t)insn->imm;

    return cut_rip(insn, rip);
}

static const emu_insn *jump_plain(emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t rip = direct_target(cpu, insn);

    check_target(cpu, insn, rip);
    return emu_jump(cpu, rip);
}

HANDLER(jcc_plain)
{
    if (emu_cond(cpu, insn->cond))
        return jump_plain(cpu, insn);
    return emu_jump(cpu, emu_next_rip(cpu, insn));
}

HANDLER(loop_plain)
{
    uint64_t count = cpu->regs[VSR_X86_RCX];
    uint64_t rip = direct_target(cpu, insn);

    if (!loop_taken(cpu, insn))
        return emu_jump(cpu, emu_next_rip(cpu, insn));
    if (G_UNLIKELY(!may_go_to(cpu, rip))) {
        cpu->regs[VSR_X86_RCX] = count;
        emu_raise_code(cpu, insn, EMU_GP, 0);
    }
    return emu_jump(cpu, rip);
}

HANDLER(call_plain)
{
    uint64_t rip = direct_target(cpu, insn);

    check_target(cpu, insn, rip);
    emu_push(cpu, insn, insn->opsize, emu_next_rip(cpu, insn));
    return emu_jump(cpu, rip);
}

HANDLER(next_plain)
{
    return emu_jump(cpu, emu_next_rip(cpu, insn));
}

static uint64_t load_target(emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t la = emu_ea(cpu, insn, insn->opsize, EMU_READ);

    switch (insn->opsize) {
    case 2:
        return emu_load16(cpu, insn, la);
    case 4:
        return emu_load32(cpu, insn, la);
    default:
        return emu_load64(cpu, insn, la);
    }
}

HANDLER(jmp_reg)
{
    uint64_t rip = cut_rip(insn, cpu->regs[insn->reg]);

    check_target(cpu, insn, rip);
    return emu_jump(cpu, rip);
}

HANDLER(jmp_mem)
{
    uint64_t rip = load_target(cpu, insn);

    check_target(cpu, insn, rip);
    return emu_jump(cpu, rip);
}

HANDLER(call_reg)
{
    uint64_t rip = cut_rip(insn, cpu->regs[insn->reg]);

    check_target(cpu, insn, rip);
    emu_push(cpu, insn, insn->opsize, emu_next_rip(cpu, insn));
    return emu_jump(cpu, rip);
}

HANDLER(call_mem)
{
    uint64_t rip = load_target(cpu, insn);

    check_target(cpu, insn, rip);
    emu_push(cpu, insn, insn->opsize, emu_next_rip(cpu, insn));
    return emu_jump(cpu, rip);
}

HANDLER(ret_plain)
{
    uint64_t rip = emu_stack_read(cpu, insn, 0, insn->opsize);

    check_target(cpu, insn, rip);
    emu_stack_adjust(cpu, (int64_t)insn->opsize + insn->imm);
    return emu_jump(cpu, rip);
}

emu_exec_fn *emu_exec_find_flow(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_JMP:
        return insn->form == EMU_FORM_I   ? jump_plain
               : insn->form == EMU_FORM_R ? jmp_reg
                                          : jmp_mem;
    case EMU_OP_CALL:
        return insn->form == EMU_FORM_I   ? call_plain
               : insn->form == EMU_FORM_R ? call_reg
                                          : call_mem;
    case EMU_OP_RET:
        if (insn->opsize == 4 && (insn->flags & EMU_I_FLAT32))
            return insn->form == EMU_FORM_N ? ret32 : ret32_slow;
        return insn->opsize != 8          ? ret_plain
               : insn->form == EMU_FORM_N ? ret64
                                          : ret64_slow;
    case EMU_OP_JCC:
        return jcc_plain;
    case EMU_OP_LOOP:
    case EMU_OP_LOOPE:
    case EMU_OP_LOOPNE:
    case EMU_OP_JCXZ:
        return loop_plain;
    case EMU_OP_NEXT:
        return next_plain;
    default:
        return NULL;
    }
}
