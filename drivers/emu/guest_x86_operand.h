/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_operand.h: what the integer executors' handler macros are made of.
 *
 * A handler is made for one (op, form, operand size); `bits` below is always a
 * literal 8, 16, 32 or 64.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_OPERAND_H
#define VSR_DRIVERS_EMU_GUEST_X86_OPERAND_H

#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_flags.h"
#include "drivers/emu/host_alu.h"

#define EMU_HANDLER(name) \
    static const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)

/* A general register by its number in the instruction. */
#define EMU_GET(bits, r)    EMU_R##bits(cpu, r)
#define EMU_PUT(bits, r, v) EMU_PUT_##bits(r, v)
#define EMU_PUT_8(r, v)     (EMU_R8(cpu, r) = (uint8_t)(v))
#define EMU_PUT_16(r, v)    (EMU_R16(cpu, r) = (uint16_t)(v))
#define EMU_PUT_32(r, v)    EMU_SET_R32(cpu, r, v)
#define EMU_PUT_64(r, v)    (EMU_R64(cpu, r) = (v))

/* The immediate at this size. */
#define EMU_IMM(bits) ((uint##bits##_t)(int##bits##_t)insn->imm)

/* Memory operand: its address, checked for a read or for a write. */
#define EMU_EA_R(bits)         emu_ea(cpu, insn, (bits) / 8, EMU_READ)
#define EMU_EA_W(bits)         emu_ea(cpu, insn, (bits) / 8, EMU_WRITE)
#define EMU_LOAD(bits, la)     emu_load##bits(cpu, insn, la)
#define EMU_STORE(bits, la, v) emu_store##bits(cpu, insn, la, v)

/* The linear address of `offset`, already cut to the address size, for operands
 * whose offset is more than base + index + displacement. */
static inline uint64_t emu_linear(emu_cpu *cpu, const emu_insn *insn,
                                  unsigned seg, uint64_t offset, unsigned size,
                                  emu_access access)
{
    if (G_LIKELY(cpu->mode & EMU_MODE_CS64))
        return cpu->seg_base[seg] + offset;
    return emu_segment_check(cpu, insn, seg, offset, size, access);
}

/* The memory operand moved by `by` bytes before the cut. */
static inline uint64_t emu_ea_beyond(emu_cpu *cpu, const emu_insn *insn,
                                     int64_t by, unsigned size,
                                     emu_access access)
{
    uint64_t offset = emu_cut(emu_offset(cpu, insn) + (uint64_t)by,
                              insn->mem & EMU_MEM_ASIZE);

    return emu_linear(cpu, insn, insn->mem & EMU_MEM_SEG, offset, size, access);
}

/* Guest memory may be at any alignment. */
#define EMU_HOST_ACCESS(bits)                                   \
    static inline uint##bits##_t emu_get##bits(const void *p)   \
    {                                                           \
        uint##bits##_t v;                                       \
                                                                \
        memcpy(&v, p, sizeof v);                                \
        return v;                                               \
    }                                                           \
    static inline void emu_put##bits(void *p, uint##bits##_t v) \
    {                                                           \
        memcpy(p, &v, sizeof v);                                \
    }
EMU_HOST_ACCESS(8)
EMU_HOST_ACCESS(16)
EMU_HOST_ACCESS(32)
EMU_HOST_ACCESS(64)
#undef EMU_HOST_ACCESS

/*
 * Read-modify-write of the memory operand: `expr` computes the new value from
 * `v`. The write is checked before anything changes, flags included.
 */
#define EMU_RMW(bits, expr)                     \
    do {                                        \
        uint64_t la = EMU_EA_W(bits);           \
        void *p = emu_rmw##bits(cpu, insn, la); \
        uint##bits##_t v;                       \
                                                \
        if (G_LIKELY(p != NULL)) {              \
            v = emu_get##bits(p);               \
            emu_put##bits(p, expr);             \
        } else {                                \
            v = EMU_LOAD(bits, la);             \
            EMU_STORE(bits, la, expr);          \
        }                                       \
    } while (0)

/* As EMU_RMW with LOCK; `locked` is the statement that does it atomically on
 * the host address `p`. */
#define EMU_RMW_LOCKED(bits, expr, locked)      \
    do {                                        \
        uint64_t la = EMU_EA_W(bits);           \
        void *p = emu_rmw##bits(cpu, insn, la); \
        uint##bits##_t v;                       \
                                                \
        if (G_UNLIKELY(p == NULL)) {            \
            emu_split_lock(cpu);                \
            v = EMU_LOAD(bits, la);             \
            EMU_STORE(bits, la, expr);          \
            emu_split_unlock(cpu);              \
        } else if (cpu->lock_free) {            \
            v = emu_get##bits(p);               \
            emu_put##bits(p, expr);             \
        } else {                                \
            locked;                             \
        }                                       \
    } while (0)

/*
 * Handlers with a memory operand come as a family of five:
 *
 *   name      any address, any page: calls what may fault, keeps a stack frame
 *   name_b    linear address = base + disp              (EMU_MEM_FLAT, no index)
 *   name_x    ... + (index << scale)                    (EMU_MEM_FLAT)
 *   name_s    ... + segment base                (64-bit addresses with FS or GS)
 *   name_f    as name_x, cut to 32 bits         (EMU_I_FLAT32)
 *
 * The last four look into the TLB only and jump to `name` when it has no
 * match, so they save no register.
 */
#define EMU_SLOW_HANDLER(name) __attribute__((noinline)) EMU_HANDLER(name)

#define EMU_ADDRESS_b (cpu->regs[insn->base] + (uint64_t)(int64_t)insn->disp)
#define EMU_ADDRESS_x emu_offset(cpu, insn)
#define EMU_ADDRESS_s \
    (cpu->seg_base[insn->mem & EMU_MEM_SEG] + emu_offset(cpu, insn))

#define EMU_ADDRESS_f ((uint64_t)(uint32_t)emu_offset(cpu, insn))

/* `f` exists for operands of up to 32 bits only. */
#define EMU_FLAT_8(make, name, ...)  make(name, f, 8, __VA_ARGS__)
#define EMU_FLAT_16(make, name, ...) make(name, f, 16, __VA_ARGS__)
#define EMU_FLAT_32(make, name, ...) make(name, f, 32, __VA_ARGS__)
#define EMU_FLAT_64(make, name, ...)

/* `host` = the host address of `bits` at `la`; no TLB match: runs `slow`. */
#define EMU_HOST_OR(slow, tag, bits, la, host)                      \
    do {                                                            \
        const emu_tlb_entry *tlb_ = emu_tlb_at(cpu, la);            \
                                                                    \
        if (G_UNLIKELY((((la) + (bits) / 8 - 1) & EMU_PAGE_MASK) != \
                       tlb_->tag))                                  \
            return slow(cpu, insn);                                 \
        (host) = (void *)(uintptr_t)((la) + tlb_->addend);          \
    } while (0)

/* Loads `v`, then runs the statements given. */
#define EMU_ON_LOAD_FAST(name, way, bits, ...)          \
    EMU_HANDLER(name##_##way##bits)                     \
    {                                                   \
        uint64_t la = EMU_ADDRESS_##way;                \
        const void *p;                                  \
        uint##bits##_t v;                               \
                                                        \
        EMU_HOST_OR(name##bits, read_tag, bits, la, p); \
        v = emu_get##bits(p);                           \
        __VA_ARGS__;                                    \
        EMU_NEXT(cpu, insn);                            \
    }
#define EMU_ON_LOAD(name, bits, ...)                       \
    EMU_SLOW_HANDLER(name##bits)                           \
    {                                                      \
        uint##bits##_t v = EMU_LOAD(bits, EMU_EA_R(bits)); \
                                                           \
        __VA_ARGS__;                                       \
        EMU_NEXT(cpu, insn);                               \
    }                                                      \
    EMU_ON_LOAD_FAST(name, b, bits, __VA_ARGS__)           \
    EMU_ON_LOAD_FAST(name, x, bits, __VA_ARGS__)           \
    EMU_ON_LOAD_FAST(name, s, bits, __VA_ARGS__)           \
    EMU_FLAT_##bits(EMU_ON_LOAD_FAST, name, __VA_ARGS__)

/* Stores the value of `expr`. */
#define EMU_ON_STORE_FAST(name, way, bits, expr)         \
    EMU_HANDLER(name##_##way##bits)                      \
    {                                                    \
        uint64_t la = EMU_ADDRESS_##way;                 \
        void *p;                                         \
                                                         \
        EMU_HOST_OR(name##bits, write_tag, bits, la, p); \
        emu_put##bits(p, expr);                          \
        EMU_NEXT(cpu, insn);                             \
    }
#define EMU_ON_STORE(name, bits, expr)         \
    EMU_SLOW_HANDLER(name##bits)               \
    {                                          \
        EMU_STORE(bits, EMU_EA_W(bits), expr); \
        EMU_NEXT(cpu, insn);                   \
    }                                          \
    EMU_ON_STORE_FAST(name, b, bits, expr)     \
    EMU_ON_STORE_FAST(name, x, bits, expr)     \
    EMU_ON_STORE_FAST(name, s, bits, expr)     \
    EMU_FLAT_##bits(EMU_ON_STORE_FAST, name, expr)

/* Replaces `v` by the value of `expr`. */
#define EMU_ON_RMW_FAST(name, way, bits, expr)           \
    EMU_HANDLER(name##_##way##bits)                      \
    {                                                    \
        uint64_t la = EMU_ADDRESS_##way;                 \
        void *p;                                         \
        uint##bits##_t v;                                \
                                                         \
        EMU_HOST_OR(name##bits, write_tag, bits, la, p); \
        v = emu_get##bits(p);                            \
        emu_put##bits(p, expr);                          \
        EMU_NEXT(cpu, insn);                             \
    }
#define EMU_ON_RMW(name, bits, expr)     \
    EMU_SLOW_HANDLER(name##bits)         \
    {                                    \
        EMU_RMW(bits, expr);             \
        EMU_NEXT(cpu, insn);             \
    }                                    \
    EMU_ON_RMW_FAST(name, b, bits, expr) \
    EMU_ON_RMW_FAST(name, x, bits, expr) \
    EMU_ON_RMW_FAST(name, s, bits, expr) \
    EMU_FLAT_##bits(EMU_ON_RMW_FAST, name, expr)

/*
 * Handlers of one op by [row][log2 of the operand size in bytes]. The first
 * rows are the forms; then come ways b, x, s and f of the four forms that have a
 * memory operand. A missing way falls back to the form's own row.
 */
enum {
    EMU_WAY_b = EMU_FORMS,
    EMU_WAY_x = EMU_WAY_b + 4,
    EMU_WAY_s = EMU_WAY_x + 4,
    EMU_WAY_f = EMU_WAY_s + 4,
    EMU_ROWS = EMU_WAY_f + 4,
};
#define EMU_ROW_M  0
#define EMU_ROW_RM 1
#define EMU_ROW_MR 2
#define EMU_ROW_MI 3

typedef emu_exec_fn *const emu_form_table[EMU_ROWS][4];

emu_exec_fn *emu_pick(emu_form_table table, const emu_insn *insn);

#define EMU_SIZES(name)                       \
    {                                         \
        name##8, name##16, name##32, name##64 \
    }
#define EMU_WORD_SIZES(name)               \
    {                                      \
        NULL, name##16, name##32, name##64 \
    }
#define EMU_FLAT_SIZES(name)              \
    {                                     \
        name##8, name##16, name##32, NULL \
    }
#define EMU_FLAT_WORD_SIZES(name)      \
    {                                  \
        NULL, name##16, name##32, NULL \
    }

/* Rows of a family made by EMU_ON_*; `form` is M, RM, MR or MI. */
#define EMU_FAMILY(form, name)                          \
    [EMU_FORM_##form] = EMU_SIZES(name),                \
    [EMU_WAY_b + EMU_ROW_##form] = EMU_SIZES(name##_b), \
    [EMU_WAY_x + EMU_ROW_##form] = EMU_SIZES(name##_x), \
    [EMU_WAY_s + EMU_ROW_##form] = EMU_SIZES(name##_s), \
    [EMU_WAY_f + EMU_ROW_##form] = EMU_FLAT_SIZES(name##_f)
#define EMU_WORD_FAMILY(form, name)                          \
    [EMU_FORM_##form] = EMU_WORD_SIZES(name),                \
    [EMU_WAY_b + EMU_ROW_##form] = EMU_WORD_SIZES(name##_b), \
    [EMU_WAY_x + EMU_ROW_##form] = EMU_WORD_SIZES(name##_x), \
    [EMU_WAY_s + EMU_ROW_##form] = EMU_WORD_SIZES(name##_s), \
    [EMU_WAY_f + EMU_ROW_##form] = EMU_FLAT_WORD_SIZES(name##_f)

/* One look-up for each file of integer handlers; NULL: not mine. */
emu_exec_fn *emu_find_alu(const emu_insn *insn);
emu_exec_fn *emu_find_shift(const emu_insn *insn);
emu_exec_fn *emu_find_muldiv(const emu_insn *insn);
emu_exec_fn *emu_find_mov(const emu_insn *insn);
emu_exec_fn *emu_find_bits(const emu_insn *insn);
emu_exec_fn *emu_find_exchange(const emu_insn *insn);
emu_exec_fn *emu_find_stack(const emu_insn *insn);
emu_exec_fn *emu_find_misc(const emu_insn *insn);

#endif
