/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_string.c: MOVS STOS LODS SCAS CMPS INS OUTS, with REP, REPE
 * and REPNE.
 *
 * Repeated forms work through plain RAM in runs of up to a page on the host's
 * side; MMIO, pages with decoded code, elements that cross a page and expand-
 * down segments go element by element. rCX, rSI and rDI are up to date after
 * each run, so a fault or an interrupt finds them as the processor leaves them
 * between two iterations. When another thread wants the vCPU, or TF is set,
 * the instruction is left unfinished with RIP still at it.
 *
 * Spec:    Intel SDM vol. 2, the instructions' own pages and "REP/REPE/REPZ/
 *          REPNE/REPNZ"; vol. 1, 7.3.9.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

#define RSI VSR_X86_RSI
#define RDI VSR_X86_RDI

/* --- rSI, rDI and rCX at the address size --- */

static uint64_t address_mask(const emu_insn *insn)
{
    return emu_cut(~UINT64_C(0), insn->mem & EMU_MEM_ASIZE);
}

/* A 32-bit address size clears the upper halves, a 16-bit one keeps the rest. */
static void put_index(emu_cpu *cpu, const emu_insn *insn, unsigned reg,
                      uint64_t value)
{
    uint64_t mask = address_mask(insn);

    if (mask == UINT16_MAX)
        EMU_R16(cpu, reg) = (uint16_t)value;
    else
        cpu->regs[reg] = value & mask;
}

static uint64_t get_index(const emu_cpu *cpu, const emu_insn *insn,
                          unsigned reg)
{
    return cpu->regs[reg] & address_mask(insn);
}

/* Moves rSI or rDI by `n` elements in DF's direction. */
static void advance(emu_cpu *cpu, const emu_insn *insn, unsigned reg,
                    uint64_t n)
{
    uint64_t by = n * insn->opsize;

    put_index(cpu, insn, reg,
              cpu->regs[reg] + (cpu->eflags & EMU_DF ? -by : by));
}

/* --- one element --- */

static uint64_t load(emu_cpu *cpu, const emu_insn *insn, uint64_t la)
{
    switch (insn->opsize) {
    case 1:
        return emu_load8(cpu, insn, la);
    case 2:
        return emu_load16(cpu, insn, la);
    case 4:
        return emu_load32(cpu, insn, la);
    default:
        return emu_load64(cpu, insn, la);
    }
}

static void store(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                  uint64_t value)
{
    switch (insn->opsize) {
    case 1:
        emu_store8(cpu, insn, la, (uint8_t)value);
        break;
    case 2:
        emu_store16(cpu, insn, la, (uint16_t)value);
        break;
    case 4:
        emu_store32(cpu, insn, la, (uint32_t)value);
        break;
    default:
        emu_store64(cpu, insn, la, value);
        break;
    }
}

static uint64_t get_unit(const uint8_t *p, unsigned unit)
{
    switch (unit) {
    case 1:
        return *p;
    case 2:
        return emu_get16(p);
    case 4:
        return emu_get32(p);
    default:
        return emu_get64(p);
    }
}

static void put_unit(uint8_t *p, unsigned unit, uint64_t value)
{
    switch (unit) {
    case 1:
        *p = (uint8_t)value;
        break;
    case 2:
        emu_put16(p, (uint16_t)value);
        break;
    case 4:
        emu_put32(p, (uint32_t)value);
        break;
    default:
        emu_put64(p, value);
        break;
    }
}

static void compare(emu_cpu *cpu, unsigned unit, uint64_t a, uint64_t b)
{
    switch (unit) {
    case 1:
        emu_cmp8((uint8_t)a, (uint8_t)b, &cpu->cc);
        break;
    case 2:
        emu_cmp16((uint16_t)a, (uint16_t)b, &cpu->cc);
        break;
    case 4:
        emu_cmp32((uint32_t)a, (uint32_t)b, &cpu->cc);
        break;
    default:
        emu_cmp64(a, b, &cpu->cc);
        break;
    }
}

/* The accumulator at the element's size. */
static uint64_t accumulator(const emu_cpu *cpu, unsigned unit)
{
    return unit == 8
               ? cpu->regs[VSR_X86_RAX]
               : cpu->regs[VSR_X86_RAX] & ((UINT64_C(1) << (unit * 8)) - 1);
}

static void set_accumulator(emu_cpu *cpu, unsigned unit, uint64_t value)
{
    switch (unit) {
    case 1:
        EMU_R8(cpu, 0) = (uint8_t)value;
        break;
    case 2:
        EMU_R16(cpu, VSR_X86_RAX) = (uint16_t)value;
        break;
    case 4:
        EMU_SET_R32(cpu, VSR_X86_RAX, value);
        break;
    default:
        cpu->regs[VSR_X86_RAX] = value;
        break;
    }
}

/* --- the memory operands --- */

static unsigned source_segment(const emu_insn *insn)
{
    return insn->mem & EMU_MEM_SEG;
}

static uint64_t linear(emu_cpu *cpu, const emu_insn *insn, unsigned reg,
                       emu_access access)
{
    return emu_linear(cpu, insn, reg == RSI ? source_segment(insn) : VSR_X86_ES,
                      get_index(cpu, insn, reg), insn->opsize, access);
}

/* A run of elements on the host's side. */
typedef struct {
    uint8_t *host; /* the element that comes first in DF's direction */
    uint64_t n;    /* elements; 0: go by linear address, one at a time */
    uint64_t la;
} run;

/* How many bytes from `offset` on keep to segment and address size. */
static uint64_t room(const emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                     uint64_t offset)
{
    uint64_t left = address_mask(insn) - offset; /* less one */
    const vsr_x86_seg *s = &cpu->seg[seg];

    if (!(cpu->mode & EMU_MODE_CS64)) {
        bool expand_down = (s->attr & VSR_SEG_TYPE) >> 2 == 1;

        /* emu_segment_check() allowed the first element. */
        if (expand_down || offset > s->limit)
            return insn->opsize;
        left = MIN(left, s->limit - offset);
    }
    return MIN(left, EMU_PAGE_SIZE) + 1;
}

/* Raises the first element's fault, if it has one. */
static run find_run(emu_cpu *cpu, const emu_insn *insn, unsigned reg,
                    emu_access access, uint64_t count)
{
    unsigned seg = reg == RSI ? source_segment(insn) : VSR_X86_ES;
    uint64_t offset = get_index(cpu, insn, reg);
    run r = { .la = linear(cpu, insn, reg, access) };
    unsigned bytes;

    if (cpu->eflags & EMU_DF) {
        /* Downwards within the page, and not below offset 0. */
        unsigned in_page = (unsigned)(r.la & ~EMU_PAGE_MASK);

        bytes = emu_host_run(cpu, insn, r.la, insn->opsize, access, &r.host);
        if (bytes == insn->opsize && room(cpu, insn, seg, offset) >= bytes)
            r.n = (MIN(in_page, offset) >> __builtin_ctz(insn->opsize)) + 1;
    } else {
        bytes = (unsigned)room(cpu, insn, seg, offset);
        bytes = emu_host_run(cpu, insn, r.la, bytes, access, &r.host);
        r.n = bytes >> __builtin_ctz(insn->opsize);
    }
    r.n = MIN(r.n, count);
    return r;
}

/* --- the loop around them --- */

/* Does `n` or fewer elements, moves the index registers, and says how many.
 * *stop: a comparison ended the loop. */
typedef uint64_t string_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                             bool *stop);

static bool interrupted(emu_cpu *cpu)
{
    return (cpu->mode & EMU_MODE_STEP) ||
           atomic_load_explicit(&cpu->exit_request, memory_order_relaxed) != 0;
}

static inline const emu_insn *run_string(emu_cpu *cpu, const emu_insn *insn,
                                         string_step *step)
{
    bool stop = false;

    if (!(insn->flags & (EMU_I_REP | EMU_I_REPNE))) {
        step(cpu, insn, 1, &stop);
        EMU_NEXT_LOOP(insn);
    }
    for (;;) {
        uint64_t count = get_index(cpu, insn, VSR_X86_RCX);

        if (count == 0)
            break;
        count -= step(cpu, insn, cpu->mode & EMU_MODE_STEP ? 1 : count, &stop);
        put_index(cpu, insn, VSR_X86_RCX, count);
        if (stop || count == 0)
            break;
        if (interrupted(cpu))
            return emu_leave(cpu, emu_insn_rip(cpu, insn));
    }
    EMU_NEXT_LOOP(insn);
}

/* Upwards, and not one step at a time. */
static inline bool is_simple(const emu_cpu *cpu)
{
    return !(cpu->eflags & EMU_DF) && !(cpu->mode & EMU_MODE_STEP);
}

/* --- MOVS --- */

/* Element by element in order: what overlapping operands see. */
static void copy_in_order(uint8_t *to, const uint8_t *from, uint64_t n,
                          unsigned unit, bool down)
{
    ptrdiff_t by = down ? -(ptrdiff_t)unit : (ptrdiff_t)unit;

    for (; n > 0; n--, to += by, from += by)
        put_unit(to, unit, get_unit(from, unit));
}

static void copy_run(uint8_t *to, const uint8_t *from, uint64_t n,
                     unsigned unit, bool down)
{
    uint64_t len = n * unit;

    if (down) {
        const uint8_t *low_from = from - (len - unit);
        uint8_t *low_to = to - (len - unit);

        if (low_to + len <= low_from || low_from + len <= low_to)
            memcpy(low_to, low_from, len);
        else
            copy_in_order(to, from, n, unit, true);
    } else if (to <= from || to >= from + len) {
        memmove(to, from, len);
    } else {
        copy_in_order(to, from, n, unit, false);
    }
}

static uint64_t movs_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                          bool *stop)
{
    run from, to;

    if (n == 1) {
        uint64_t v = load(cpu, insn, linear(cpu, insn, RSI, EMU_READ));

        store(cpu, insn, linear(cpu, insn, RDI, EMU_WRITE), v);
    } else {
        from = find_run(cpu, insn, RSI, EMU_READ, n);
        to = find_run(cpu, insn, RDI, EMU_WRITE, n);
        n = MIN(from.n, to.n);
        if (n > 0) {
            copy_run(to.host, from.host, n, insn->opsize, cpu->eflags & EMU_DF);
        } else {
            store(cpu, insn, to.la, load(cpu, insn, from.la));
            n = 1;
        }
    }
    advance(cpu, insn, RSI, n);
    advance(cpu, insn, RDI, n);
    return n;
}

EMU_SLOW_HANDLER(movs)
{
    return run_string(cpu, insn, movs_step);
}

/* Whole, upwards, with 64-bit addresses, within one page on each side: most of
 * a kernel's copies. Anything else is for movs(). */
EMU_HANDLER(rep_movs64)
{
    uint64_t from = cpu->seg_base[source_segment(insn)] + cpu->regs[RSI];
    uint64_t to = cpu->regs[RDI];
    uint64_t count = cpu->regs[VSR_X86_RCX];
    uint64_t len = count << __builtin_ctz(insn->opsize);
    const uint8_t *source;
    uint8_t *dest;

    if (count - 1 >= EMU_PAGE_SIZE || !is_simple(cpu))
        return movs(cpu, insn);
    EMU_HOST_OR(movs, read_tag, len * 8, from, source);
    EMU_HOST_OR(movs, write_tag, len * 8, to, dest);
    if ((uintptr_t)dest - (uintptr_t)source < len)
        return movs(cpu, insn);
    memmove(dest, source, len);
    cpu->regs[RSI] += len;
    cpu->regs[RDI] = to + len;
    cpu->regs[VSR_X86_RCX] = 0;
    EMU_NEXT_LOOP(insn);
}

/* --- STOS --- */

static void fill_run(uint8_t *to, uint64_t value, uint64_t n, unsigned unit,
                     bool down)
{
    if (down)
        to -= (n - 1) * unit;
    if (unit == 1 || value == 0) {
        memset(to, (int)(uint8_t)value, n * unit);
        return;
    }
    for (; n > 0; n--, to += unit)
        put_unit(to, unit, value);
}

static uint64_t stos_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                          bool *stop)
{
    uint64_t value = accumulator(cpu, insn->opsize);
    run to;

    if (n == 1) {
        store(cpu, insn, linear(cpu, insn, RDI, EMU_WRITE), value);
    } else {
        to = find_run(cpu, insn, RDI, EMU_WRITE, n);
        n = to.n;
        if (n > 0) {
            fill_run(to.host, value, n, insn->opsize, cpu->eflags & EMU_DF);
        } else {
            store(cpu, insn, to.la, value);
            n = 1;
        }
    }
    advance(cpu, insn, RDI, n);
    return n;
}

EMU_SLOW_HANDLER(stos)
{
    return run_string(cpu, insn, stos_step);
}

EMU_HANDLER(rep_stos64)
{
    uint64_t to = cpu->regs[RDI];
    uint64_t count = cpu->regs[VSR_X86_RCX];
    uint64_t len = count << __builtin_ctz(insn->opsize);
    uint64_t value = accumulator(cpu, insn->opsize);
    uint8_t *dest;

    if (count - 1 >= EMU_PAGE_SIZE || !is_simple(cpu))
        return stos(cpu, insn);
    EMU_HOST_OR(stos, write_tag, len * 8, to, dest);
    fill_run(dest, value, count, insn->opsize, false);
    cpu->regs[RDI] = to + len;
    cpu->regs[VSR_X86_RCX] = 0;
    EMU_NEXT_LOOP(insn);
}

/* --- LODS: nobody repeats it --- */

static uint64_t lods_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                          bool *stop)
{
    set_accumulator(cpu, insn->opsize,
                    load(cpu, insn, linear(cpu, insn, RSI, EMU_READ)));
    advance(cpu, insn, RSI, 1);
    return 1;
}

EMU_HANDLER(lods)
{
    return run_string(cpu, insn, lods_step);
}

/* --- SCAS, CMPS --- */

/* Does a comparison with this outcome end the loop? */
static bool ends(const emu_insn *insn, bool equal)
{
    if (insn->flags & EMU_I_REPNE)
        return equal;
    return (insn->flags & EMU_I_REP) && !equal;
}

static uint64_t scas_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                          bool *stop)
{
    unsigned unit = insn->opsize;
    uint64_t value = accumulator(cpu, unit), found = 0, done = 0;
    ptrdiff_t by = cpu->eflags & EMU_DF ? -(ptrdiff_t)unit : (ptrdiff_t)unit;
    run with = { 0 };

    if (n > 1)
        with = find_run(cpu, insn, RDI, EMU_READ, n);
    else
        with.la = linear(cpu, insn, RDI, EMU_READ);
    if (with.n == 0) {
        found = load(cpu, insn, with.la);
        *stop = ends(insn, found == value);
        done = 1;
    }
    for (const uint8_t *p = with.host; done < with.n && !*stop; p += by) {
        found = get_unit(p, unit);
        *stop = ends(insn, found == value);
        done++;
    }
    compare(cpu, unit, value, found);
    advance(cpu, insn, RDI, done);
    return done;
}

EMU_HANDLER(scas)
{
    return run_string(cpu, insn, scas_step);
}

static uint64_t cmps_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                          bool *stop)
{
    unsigned unit = insn->opsize;
    uint64_t a = 0, b = 0, done = 0;
    ptrdiff_t by = cpu->eflags & EMU_DF ? -(ptrdiff_t)unit : (ptrdiff_t)unit;
    run first = { 0 }, second = { 0 };

    if (n > 1) {
        first = find_run(cpu, insn, RSI, EMU_READ, n);
        second = find_run(cpu, insn, RDI, EMU_READ, n);
    } else {
        first.la = linear(cpu, insn, RSI, EMU_READ);
        second.la = linear(cpu, insn, RDI, EMU_READ);
    }
    n = MIN(first.n, second.n);
    if (n == 0) {
        a = load(cpu, insn, first.la);
        b = load(cpu, insn, second.la);
        *stop = ends(insn, a == b);
        done = 1;
    }
    for (const uint8_t *p = first.host, *q = second.host; done < n && !*stop;
         p += by, q += by) {
        a = get_unit(p, unit);
        b = get_unit(q, unit);
        *stop = ends(insn, a == b);
        done++;
    }
    compare(cpu, unit, a, b);
    advance(cpu, insn, RSI, done);
    advance(cpu, insn, RDI, done);
    return done;
}

EMU_HANDLER(cmps)
{
    return run_string(cpu, insn, cmps_step);
}

/* --- INS, OUTS: the port may be anything, so one element at a time --- */

static uint64_t ins_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                         bool *stop)
{
    uint16_t port = EMU_R16(cpu, VSR_X86_RDX);
    uint64_t la;

    emu_io_check(cpu, insn, port, insn->opsize);
    /* What was read cannot be given back: check the store first. */
    la = linear(cpu, insn, RDI, EMU_WRITE);
    if (emu_host_w(cpu, la, insn->opsize) == NULL)
        emu_host_slow(cpu, insn, la, insn->opsize, EMU_RMW);
    store(cpu, insn, la, emu_io_in(cpu, port, insn->opsize));
    advance(cpu, insn, RDI, 1);
    return 1;
}

EMU_HANDLER(ins)
{
    return run_string(cpu, insn, ins_step);
}

static uint64_t outs_step(emu_cpu *cpu, const emu_insn *insn, uint64_t n,
                          bool *stop)
{
    uint16_t port = EMU_R16(cpu, VSR_X86_RDX);
    uint64_t value;

    emu_io_check(cpu, insn, port, insn->opsize);
    value = load(cpu, insn, linear(cpu, insn, RSI, EMU_READ));
    emu_io_out(cpu, port, insn->opsize, value);
    advance(cpu, insn, RSI, 1);
    return 1;
}

EMU_HANDLER(outs)
{
    return run_string(cpu, insn, outs_step);
}

emu_exec_fn *emu_exec_find_string(const emu_insn *insn)
{
    bool rep64 = (insn->mem & EMU_MEM_ASIZE) == EMU_MEM_A64 &&
                 (insn->flags & (EMU_I_REP | EMU_I_REPNE));
    bool io = insn->op == EMU_OP_INS || insn->op == EMU_OP_OUTS;

    if (insn->opsize != 1 && insn->opsize != 2 && insn->opsize != 4 &&
        (insn->opsize != 8 || io))
        return NULL;
    switch (insn->op) {
    case EMU_OP_MOVS:
        return rep64 ? rep_movs64 : movs;
    case EMU_OP_STOS:
        return rep64 ? rep_stos64 : stos;
    case EMU_OP_LODS:
        return lods;
    case EMU_OP_SCAS:
        return scas;
    case EMU_OP_CMPS:
        return cmps;
    case EMU_OP_INS:
        return ins;
    case EMU_OP_OUTS:
        return outs;
    default:
        return NULL;
    }
}
