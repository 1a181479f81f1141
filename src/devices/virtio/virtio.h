/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio.h: what all virtio devices and both transports share: features,
 * status, queues, configuration space.
 *
 * A device's struct begins with a vsr_virtio, its class's params with a
 * vsr_virtio_params. Its class's init calls vsr_virtio_init(), fini
 * vsr_virtio_fini(), reset vsr_virtio_reset(), and so on.
 *
 * Spec:    VIRTIO 1.2, 2 "Basic Facilities of a Virtio Device", 3.1 "Device
 *          Initialization".
 * Threads: init, fini, reset: control. Registers on vCPU threads with the
 *          device's lock held. kicked() and what the device adds on the queues'
 *          loop, which takes the lock.
 */
#ifndef VSR_DEVICES_VIRTIO_VIRTIO_H
#define VSR_DEVICES_VIRTIO_VIRTIO_H

#include "base/log.h"
#include "devices/pci/msix.h"
#include "devices/virtio/ring.h"
#include "machine/device.h"
#include "machine/irq.h"
#include "machine/x86/board.h"

typedef struct vsr_virtio vsr_virtio;

enum {
    VSR_VIRTIO_QUEUES_MAX = 65,
    VSR_VIRTIO_CONFIG_MAX = 256,
    VSR_VIRTIO_NO_VECTOR = 0xffff,
};

/* 2.1 "Device Status Field" */
enum {
    VSR_VIRTIO_ACKNOWLEDGE = 1,
    VSR_VIRTIO_DRIVER = 2,
    VSR_VIRTIO_DRIVER_OK = 4,
    VSR_VIRTIO_FEATURES_OK = 8,
    VSR_VIRTIO_NEEDS_RESET = 64,
    VSR_VIRTIO_FAILED = 128,
};

/* 5 "Device Types" */
enum {
    VSR_VIRTIO_ID_NET = 1,
    VSR_VIRTIO_ID_BLOCK = 2,
    VSR_VIRTIO_ID_CONSOLE = 3,
    VSR_VIRTIO_ID_RNG = 4,
    VSR_VIRTIO_ID_BALLOON = 5,
    VSR_VIRTIO_ID_9P = 9,
    VSR_VIRTIO_ID_VSOCK = 19,
    VSR_VIRTIO_ID_MEM = 24,
};

/* 6 "Reserved Feature Bits" */
#define VSR_VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VSR_VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VSR_VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

typedef struct {
    uint16_t id;         /* VSR_VIRTIO_ID_* */
    uint32_t class_code; /* on PCI: 0xCCSSPP */

    /* The driver has said DRIVER_OK: features and queues are what they will
     * be. Lock held. O. */
    void (*start)(vsr_virtio *v);
    /* The driver resets us, or the machine does: on return nothing of ours
     * touches queues or buffers any more. The lock is held, and may be dropped
     * to wait. O. */
    void (*stop)(vsr_virtio *v);
    /* The driver takes queue `index` back while the device runs: on return
     * nothing of ours touches the queue or buffers of it any more; its ring
     * cannot be used already. The lock is held, and may be dropped to wait. O:
     * nothing is kept of a queue when kicked() returns. */
    void (*stop_queue)(vsr_virtio *v, uint32_t index);
    /* The driver kicked queue `index`, or may have. Lock held. A guest may add
     * chains as fast as they are taken: the device stops after about as many as
     * the queue has room for, and kicks itself. It may drop the lock. */
    void (*kicked)(vsr_virtio *v, uint32_t index);
    /* v->config is about to be read; [offset, offset + len) of it was written.
     * Lock held. O. */
    void (*config_read)(vsr_virtio *v);
    void (*config_written)(vsr_virtio *v, uint32_t offset, uint32_t len);
} vsr_virtio_ops;

/* Where the device sits: exactly one of host and mmio. Borrowed. */
typedef struct {
    vsr_pci_host *host;
    uint8_t devfn;
    const vsr_board_mmio *mmio;
    vsr_loop *loop; /* of the queues; NULL: the device's home loop */
} vsr_virtio_params;

typedef struct {
    vsr_virtio *virtio;
    uint16_t index;
    uint16_t size_max;
    vsr_virtq_layout layout; /* as the driver wrote it */
    bool enabled;
    bool stopping; /* stop_queue() waits with the lock dropped */
    uint16_t vector; /* MSI-X; PCI only */
    vsr_virtq ring;
    int kick_fd; /* an eventfd, owned */
    vsr_loop_fd *watch;
} vsr_virtio_queue;

typedef struct vsr_virtio_transport vsr_virtio_transport;

struct vsr_virtio {
    vsr_device device;
    const vsr_virtio_ops *ops;
    const vsr_virtio_transport *transport;
    void *transport_state;      /* owned */
    vsr_loop *loop;             /* of the queues; borrowed */
    uint64_t offered, accepted; /* feature bits */
    uint8_t status;
    uint8_t isr;
    uint32_t device_select, driver_select, queue_select;
    uint8_t generation; /* of config */
    uint8_t config[VSR_VIRTIO_CONFIG_MAX];
    uint8_t config_writable[VSR_VIRTIO_CONFIG_MAX]; /* bits of the driver's */
    uint32_t config_len;
    uint32_t n_queues;
    vsr_virtio_queue *queue; /* owned */
    bool started;            /* between start() and stop() */
    bool stopping;           /* stop() waits with the lock dropped */
    bool no_dma;             /* the transport's: PCI's bus master bit is off */
    bool cut;                /* it went off while started: only a reset helps */
    bool quiesced;           /* the machine's: kicks wait */
    vsr_log_limiter complaints;
};

/* PCI or MMIO. Lock held, except for init and fini. */
struct vsr_virtio_transport {
    bool (*init)(vsr_virtio *v, const vsr_virtio_params *params,
                 GError **error);
    void (*fini)(vsr_virtio *v);
    void (*reset)(vsr_virtio *v); /* the machine's; not the driver's */
    void (*signal_queue)(vsr_virtio *v, vsr_virtio_queue *q);
    void (*signal_config)(vsr_virtio *v);
};
extern const vsr_virtio_transport vsr_virtio_pci_transport;
extern const vsr_virtio_transport vsr_virtio_mmio_transport;

/* --- for devices ------------------------------------------------------------ */

/* `features` beyond those of the rings, which are always offered. `queue_size`
 * has n_queues entries, each a power of two. The caller fills v->config before
 * or after. On failure nothing is left behind. */
bool vsr_virtio_init(vsr_virtio *v, const vsr_virtio_params *params,
                     const vsr_virtio_ops *ops, uint64_t features,
                     uint32_t n_queues, const uint16_t *queue_size,
                     uint32_t config_len, GError **error);
void vsr_virtio_fini(vsr_virtio *v);
/* The machine's reset. */
void vsr_virtio_reset(vsr_virtio *v);
/* Between them nothing is kicked(); what the driver asked meanwhile comes after
 * that. What is in flight is the device's to wait for. A class may have them as they
 * are: its instances begin with their vsr_virtio. */
void vsr_virtio_quiesce(vsr_device *device);
void vsr_virtio_unquiesce(vsr_device *device);

static inline bool vsr_virtio_has(const vsr_virtio *v, uint64_t feature)
{
    return (v->accepted & feature) != 0;
}

/* Lock held, and so for the rest. The queue's ring if it can be used now, else
 * NULL. */
vsr_virtq *vsr_virtio_ring(vsr_virtio *v, uint32_t index);
/* vsr_virtq_pop(); a broken ring ends in NEEDS_RESET. */
bool vsr_virtio_pop(vsr_virtio *v, uint32_t index, vsr_virtq_chain *out);
/* Interrupt the driver for what was pushed, if it wants that. */
void vsr_virtio_signal(vsr_virtio *v, uint32_t index);
/* kicked() soon, on the loop, if the queue can be used then. Any thread, with or
 * without the lock, until fini. */
void vsr_virtio_kick(vsr_virtio *v, uint32_t index);
/* kicked() now: on the queues' loop, lock not held. */
void vsr_virtio_serve(vsr_virtio *v, uint32_t index);
/* All chains that there were are taken: the driver is to kick at the next; if it
 * is there by now, kicked() comes again. */
void vsr_virtio_want_kicks(vsr_virtio *v, uint32_t index);
/* config has changed by itself. */
void vsr_virtio_config_changed(vsr_virtio *v);
/* The driver broke the rules: DEVICE_NEEDS_RESET, one line in the log. */
void vsr_virtio_needs_reset(vsr_virtio *v, const char *why);

/* --- for transports --------------------------------------------------------- */

bool vsr_virtio_find_queue(vsr_virtio *v, vsr_virtio_queue **out);
void vsr_virtio_set_status(vsr_virtio *v, uint8_t status);
uint32_t vsr_virtio_offered(const vsr_virtio *v, uint32_t select);
void vsr_virtio_accept(vsr_virtio *v, uint32_t select, uint32_t bits);
/* May the device reach RAM? Turned off, it stops, and what is in flight is
 * waited for, as in a reset. */
void vsr_virtio_set_dma(vsr_virtio *v, bool on);
/* The queue is where its layout says. */
void vsr_virtio_enable_queue(vsr_virtio *v, vsr_virtio_queue *q);
/* … or nowhere: the driver takes it back. Once the device runs only a reset
 * brings it back. Waits for what is in flight, the lock dropped. */
void vsr_virtio_disable_queue(vsr_virtio *v, vsr_virtio_queue *q);
uint64_t vsr_virtio_config_read(vsr_virtio *v, uint64_t offset, uint32_t size);
void vsr_virtio_config_write(vsr_virtio *v, uint64_t offset, uint32_t size,
                             uint64_t value);

#endif
