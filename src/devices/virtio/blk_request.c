/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blk_request.c: requests of a virtio block device, from the chain that the
 * driver made to its status byte.
 *
 * Storage for one is made when the first that needs it comes and kept until the
 * device goes: there are never more than the queues have room for.
 *
 * Spec:    VIRTIO 1.2, 5.2.6 "Device Operation", 5.2.6.2 "Device Requirements:
 *          Device Operation".
 * Threads: the queues' loop, which is the block's, with the device's lock held.
 */
#include "devices/virtio/blk_parts.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

enum {
    HEADER_LEN = 16,

    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,

    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,

    RANGE_UNMAP = 1, /* a flag of WRITE_ZEROES */
};

typedef struct {
    uint32_t type, reserved;
    uint64_t sector;
} vblk_header;

/* --- storage ---------------------------------------------------------------- */

static vblk_request *take_request(virtio_blk *blk)
{
    vblk_request *r = blk->free;

    if (r == NULL) {
        r = g_new(vblk_request, 1);
        r->blk = blk;
    } else {
        blk->free = r->next;
    }
    return r;
}

static void give_back(virtio_blk *blk, vblk_request *r)
{
    r->next = blk->free;
    blk->free = r;
}

void vblk_free_requests(virtio_blk *blk)
{
    while (blk->free != NULL) {
        vblk_request *r = blk->free;

        blk->free = r->next;
        g_free(r);
    }
}

static void keep(vblk_request *r)
{
    virtio_blk *blk = r->blk;

    r->next = NULL;
    *blk->kept_end = r;
    blk->kept_end = &r->next;
    blk->n_kept++;
}

void vblk_forget_kept(virtio_blk *blk, int queue)
{
    vblk_request *r = blk->kept;

    blk->kept = NULL;
    blk->kept_end = &blk->kept;
    blk->n_kept = 0;
    while (r != NULL) {
        vblk_request *next = r->next;

        if (queue < 0 || r->queue == (uint32_t)queue)
            give_back(blk, r);
        else
            keep(r);
        r = next;
    }
}

/* A throttle may keep a request for minutes. */
static void cancel_waiting(void *opaque)
{
    virtio_blk *blk = opaque;

    vsr_block_cancel_waiting(blk->block);
}

void vblk_drain(virtio_blk *blk)
{
    /* On the loop, and so after what is being submitted there now. */
    if (blk->in_flight > 0)
        vsr_loop_call(blk->base.loop, cancel_waiting, blk);
    while (blk->in_flight > 0)
        g_cond_wait(&blk->idle, &blk->base.device.lock);
}

/* --- the end of a request ------------------------------------------------------ */

/* `touched`: the host may have written some of the data, but how much is not
 * known. */
static void finish(vblk_request *r, uint8_t status, bool touched)
{
    virtio_blk *blk = r->blk;
    vsr_virtq *ring = vsr_virtio_ring(&blk->base, r->queue);
    uint64_t room = r->chain.in_len - 1;
    uint64_t written = 0;

    /* After a reset the buffers are the driver's again. */
    if (ring == NULL) {
        give_back(blk, r);
        return;
    }
    *r->status = status;
    vsr_mem_written(ring->mem, r->status_gpa, 1);
    /* What is counted is from the first byte on, without a hole. */
    if (status == S_OK)
        written = r->data_len < room ? r->data_len : room + 1;
    else if (touched)
        vsr_virtq_touched(ring, &r->chain);
    vsr_virtq_push(ring, &r->chain, (uint32_t)written);
    blk->to_signal |= UINT64_C(1) << r->queue;
    give_back(blk, r);
}

static void signal_queues(virtio_blk *blk)
{
    uint64_t queues = blk->to_signal;

    blk->to_signal = 0;
    while (queues != 0) {
        vsr_virtio_signal(&blk->base, (uint32_t)__builtin_ctzll(queues));
        queues &= queues - 1;
    }
}

static void on_turn_over(void *opaque)
{
    virtio_blk *blk = opaque;

    g_mutex_lock(&blk->base.device.lock);
    blk->signal_posted = false;
    signal_queues(blk);
    g_mutex_unlock(&blk->base.device.lock);
}

/* Completions come in bunches: one interrupt for those of one turn of the loop;
 * at once, if no other can come. */
static void signal_soon(virtio_blk *blk)
{
    if (blk->to_signal == 0 || blk->signal_posted)
        return;
    if (blk->in_flight == 0) {
        signal_queues(blk);
        return;
    }
    blk->signal_posted = true;
    vsr_loop_call(blk->base.loop, on_turn_over, blk);
}

/* --- the host's answer --------------------------------------------------------- */

static vsr_virtio_blk_policy policy_for(const vblk_request *r, int rc)
{
    const virtio_blk *blk = r->blk;
    vsr_virtio_blk_policy policy =
        r->io.op == VSR_BLOCK_READ ? blk->read_error : blk->write_error;

    if (policy != VSR_VIRTIO_BLK_ENOSPC)
        return policy;
    return rc == -ENOSPC || rc == -EDQUOT ? VSR_VIRTIO_BLK_STOP
                                          : VSR_VIRTIO_BLK_REPORT;
}

/* Nothing new is to be submitted. */
static bool is_held(const virtio_blk *blk)
{
    return blk->halted || blk->holds > 0 || blk->base.quiesced;
}

/* To the block as soon as the lock is dropped. */
static void submit(vblk_request *r)
{
    virtio_blk *blk = r->blk;

    blk->in_flight++;
    r->next = NULL;
    *blk->submit_end = r;
    blk->submit_end = &r->next;
}

/* What was submit()ted; the lock is dropped meanwhile. */
static void send(virtio_blk *blk)
{
    vblk_request *r = blk->submit;

    if (r == NULL)
        return;
    blk->submit = NULL;
    blk->submit_end = &blk->submit;
    g_mutex_unlock(&blk->base.device.lock);
    vsr_block_plug(blk->block);
    while (r != NULL) {
        vblk_request *next = r->next;

        vsr_block_submit(blk->block, &r->io);
        r = next;
    }
    vsr_block_unplug(blk->block);
    g_mutex_lock(&blk->base.device.lock);
}

/* The rest of the request that is at range_at; kept, if this is no time. */
static void start_range(vblk_request *r)
{
    const vblk_range *range = &r->range[r->range_at];

    r->io.offset = range->sector * VBLK_SECTOR;
    r->io.len = (uint64_t)range->sectors * VBLK_SECTOR;
    r->io.may_unmap = (range->flags & RANGE_UNMAP) != 0;
    if (is_held(r->blk))
        keep(r);
    else
        submit(r);
}

/* True: the callback is to be called. */
static bool failed(vblk_request *r, int rc, vsr_virtio_blk_policy *action)
{
    bool told = r->blk->halted;

    if (rc == -ECANCELED) {
        keep(r); /* by vblk_drain(); a reset then forgets it */
        return false;
    }
    /* The host's file cannot do it, which is no failure of the disk. */
    if (rc == -ENOTSUP) {
        finish(r, S_UNSUPP, false);
        return false;
    }
    *action = policy_for(r, rc);
    /* A reset waits: nobody is left to be asked. */
    if (vsr_virtio_ring(&r->blk->base, r->queue) == NULL)
        *action = VSR_VIRTIO_BLK_REPORT;
    if (*action == VSR_VIRTIO_BLK_STOP) {
        keep(r);
        r->blk->halted = true;
    } else {
        finish(r, *action == VSR_VIRTIO_BLK_IGNORE ? S_OK : S_IOERR,
               r->io.op == VSR_BLOCK_READ);
    }
    return !told;
}

static void on_done(vsr_block_request *io, int rc)
{
    vblk_request *r = io->opaque;
    virtio_blk *blk = r->blk;
    vsr_device *device = &blk->base.device;
    vsr_virtio_blk_policy action = VSR_VIRTIO_BLK_REPORT;
    bool tell = false;

    g_mutex_lock(&device->lock);
    blk->in_flight--;
    if (rc < 0)
        tell = failed(r, rc, &action);
    else if (++r->range_at < r->n_ranges && !blk->base.stopping)
        start_range(r);
    else
        finish(r, S_OK, false);
    signal_soon(blk);
    send(blk);
    tell = tell && blk->failed != NULL && !blk->base.stopping;
    if (blk->in_flight == 0)
        g_cond_broadcast(&blk->idle);
    g_mutex_unlock(&device->lock);
    if (tell)
        blk->failed(blk->opaque, device, action, -rc);
}

/* --- the driver's wish ------------------------------------------------------------ */

static void refuse(vblk_request *r, uint8_t status)
{
    r->blk->refused++;
    finish(r, status, false);
}

static bool is_inside(const virtio_blk *blk, uint64_t sector, uint64_t sectors)
{
    uint64_t end = vsr_block_bytes(blk->block) / VBLK_SECTOR;

    return sector <= end && sectors <= end - sector;
}

/* iov without the header at its beginning or the status at its end. */
static void set_data(vblk_request *r, struct iovec *iov, uint32_t n)
{
    while (n > 0 && iov->iov_len == 0) {
        iov++;
        n--;
    }
    while (n > 0 && iov[n - 1].iov_len == 0)
        n--;
    r->io.iov = iov;
    r->io.n_iov = n;
}

static void cut_header(vsr_virtq_chain *chain)
{
    uint64_t left = HEADER_LEN;

    for (uint32_t i = 0; i < chain->n_out && left > 0; i++) {
        uint64_t part = MIN(left, chain->iov[i].iov_len);

        chain->iov[i].iov_base = (uint8_t *)chain->iov[i].iov_base + part;
        chain->iov[i].iov_len -= part;
        left -= part;
    }
}

static void transfer(vblk_request *r, const vblk_header *header)
{
    virtio_blk *blk = r->blk;
    vsr_virtq_chain *chain = &r->chain;
    bool is_read = header->type == T_IN;
    uint64_t len = is_read ? chain->in_len - 1 : chain->out_len - HEADER_LEN;

    if (len % VBLK_SECTOR != 0 || len > VBLK_DATA_MAX ||
        !is_inside(blk, header->sector, len / VBLK_SECTOR) ||
        (!is_read && vsr_block_is_readonly(blk->block))) {
        refuse(r, S_IOERR);
        return;
    }
    r->data_len = is_read ? len : 0;
    if (len == 0) {
        finish(r, S_OK, false);
        return;
    }
    r->io.op = is_read ? VSR_BLOCK_READ : VSR_BLOCK_WRITE;
    r->io.offset = header->sector * VBLK_SECTOR;
    r->io.len = len;
    r->io.fua = !is_read && !blk->writeback;
    if (is_read)
        set_data(r, chain->iov + chain->n_out, chain->n_in);
    else
        set_data(r, chain->iov, chain->n_out);
    submit(r);
}

static void flush(vblk_request *r)
{
    r->io.op = VSR_BLOCK_FLUSH;
    r->io.offset = r->io.len = 0;
    submit(r);
}

static void get_id(vblk_request *r)
{
    r->data_len = vsr_virtq_write(
        &r->chain, 0, r->blk->serial,
        MIN(r->chain.in_len - 1, (uint64_t)VSR_VIRTIO_BLK_SERIAL_LEN));
    finish(r, S_OK, false);
}

/* S_OK, or why not. */
static uint8_t check_ranges(const vblk_request *r, uint32_t type)
{
    uint32_t flags = type == T_WRITE_ZEROES ? RANGE_UNMAP : 0;

    for (uint32_t i = 0; i < r->n_ranges; i++)
        if ((r->range[i].flags & ~flags) != 0)
            return S_UNSUPP;
    for (uint32_t i = 0; i < r->n_ranges; i++)
        if (r->range[i].sectors > VBLK_RANGE_MAX || r->range[i].sectors == 0 ||
            !is_inside(r->blk, r->range[i].sector, r->range[i].sectors))
            return S_IOERR;
    return S_OK;
}

static void change_ranges(vblk_request *r, uint32_t type)
{
    uint64_t len = r->chain.out_len - HEADER_LEN;
    uint8_t status = S_IOERR;

    if (vsr_block_is_readonly(r->blk->block)) {
        refuse(r, S_IOERR);
        return;
    }
    if (len != 0 && len % sizeof(vblk_range) == 0 && len <= sizeof(r->range)) {
        r->n_ranges = (uint32_t)(len / sizeof(vblk_range));
        (void)vsr_virtq_read(&r->chain, 0, r->range, len);
        status = check_ranges(r, type);
    }
    if (status != S_OK) {
        refuse(r, status);
        return;
    }
    r->io.op = type == T_DISCARD ? VSR_BLOCK_DISCARD : VSR_BLOCK_WRITE_ZEROES;
    r->io.fua = !r->blk->writeback;
    start_range(r);
}

/* False: it is no request at all, and nobody can be told. */
static bool begin(vblk_request *r, uint32_t queue)
{
    vsr_virtq_chain *chain = &r->chain;
    struct iovec *last;
    vblk_header header;

    if (chain->out_len < HEADER_LEN || chain->in_len == 0)
        return false;
    (void)vsr_virtq_read(chain, 0, &header, sizeof(header));
    cut_header(chain);
    last = &chain->iov[chain->n_out + chain->n_in - 1];
    last->iov_len--;
    r->status = (uint8_t *)last->iov_base + last->iov_len;
    r->status_gpa = chain->gpa[chain->n_out + chain->n_in - 1] + last->iov_len;
    r->queue = queue;
    r->data_len = 0;
    r->n_ranges = r->range_at = 0;
    r->io = (vsr_block_request){ .done = on_done, .opaque = r };
    switch (header.type) {
    case T_IN:
    case T_OUT:
        transfer(r, &header);
        break;
    case T_FLUSH:
        flush(r);
        break;
    case T_GET_ID:
        get_id(r);
        break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        change_ranges(r, header.type);
        break;
    default:
        refuse(r, S_UNSUPP);
        break;
    }
    return true;
}

static void retry_kept(virtio_blk *blk)
{
    vblk_request *r = blk->kept;

    blk->kept = NULL;
    blk->kept_end = &blk->kept;
    blk->n_kept = 0;
    while (r != NULL) {
        vblk_request *next = r->next;

        submit(r);
        r = next;
    }
}

void vblk_serve(vsr_virtio *v, uint32_t index)
{
    virtio_blk *blk = vblk_of(v);
    uint32_t turn = v->queue[index].layout.size;

    if (is_held(blk))
        return;
    retry_kept(blk);
    while (turn > 0) {
        vblk_request *r = take_request(blk);

        if (!vsr_virtio_pop(v, index, &r->chain)) {
            give_back(blk, r);
            break;
        }
        turn--;
        if (!begin(r, index)) {
            give_back(blk, r);
            vsr_virtio_needs_reset(v, "a request without header or status");
            break;
        }
    }
    /* Those that needed no host. */
    signal_queues(blk);
    if (turn == 0)
        vsr_virtio_kick(v, index);
    else
        vsr_virtio_want_kicks(v, index);
    send(blk);
}
