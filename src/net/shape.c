/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.c: see shape.h.
 *
 * Threads: any.
 */
#include "net/shape.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

#include "base/util.h"
#include "net/rate.h"

enum {
    QUEUED_NS = 50000000, /* of the link's own queue, at its rate */
    LINKLAYER_ETHERNET = 1,
    POLICE_MTU = 65535 + 18, /* whole segments of TSO are one packet to it */
    CELL_LOG = 16 - 8,       /* 256 cells up to 64 KiB */
};
#define NS_PER_S UINT64_C(1000000000)

static struct nl_msg *tc_msg(int type, int index, uint32_t handle,
                             uint32_t parent, uint32_t info)
{
    struct tcmsg head = {
        .tcm_family = AF_UNSPEC,
        .tcm_ifindex = index,
        .tcm_handle = handle,
        .tcm_parent = parent,
        .tcm_info = info,
    };
    struct nl_msg *msg = nlmsg_alloc_simple(
        type, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);

    if (msg != NULL &&
        nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0)
        g_clear_pointer(&msg, nlmsg_free);
    return msg;
}

static uint64_t bytes_per_s(uint64_t kib)
{
    return MIN(kib, UINT64_C(1) << 32) * VSR_KIB;
}

static struct tc_ratespec spec_of(uint64_t rate)
{
    return (struct tc_ratespec){
        .cell_log = CELL_LOG,
        .linklayer = LINKLAYER_ETHERNET,
        .rate = (uint32_t)MIN(rate, UINT64_C(0xffffffff)),
    };
}

/* An average of none with a peak: the peak is the average. */
static uint64_t average_of(const vsr_net_rate *rate)
{
    return bytes_per_s(rate->average != 0 ? rate->average : rate->peak);
}

static uint32_t burst_of(const vsr_net_rate *rate)
{
    return (uint32_t)MIN(vsr_net_rate_burst(rate), UINT64_C(0x7fffffff));
}

int vsr_shape_sent(vsr_netlink *nl, int index, const vsr_net_rate *rate)
{
    uint64_t average = average_of(rate), peak = bytes_per_s(rate->peak);
    uint32_t burst = burst_of(rate);
    uint64_t limit = burst + average / (NS_PER_S / QUEUED_NS);
    struct tc_tbf_qopt opt = {
        .rate = spec_of(average),
        .limit = (uint32_t)MIN(limit, UINT64_C(0x7fffffff)),
    };
    struct nl_msg *msg = tc_msg(RTM_NEWQDISC, index, 1 << 16, TC_H_ROOT, 0);
    struct nlattr *options;

    if (msg == NULL)
        return -ENOMEM;
    /* The kernel wants a peak above the average. */
    if (rate->average != 0 && peak > average)
        opt.peakrate = spec_of(peak);
    nla_put_string(msg, TCA_KIND, "tbf");
    options = nla_nest_start(msg, TCA_OPTIONS);
    nla_put(msg, TCA_TBF_PARMS, sizeof(opt), &opt);
    nla_put_u32(msg, TCA_TBF_BURST, burst);
    if (average > UINT32_MAX)
        nla_put_u64(msg, TCA_TBF_RATE64, average);
    if (opt.peakrate.rate != 0) {
        nla_put_u32(msg, TCA_TBF_PBURST, POLICE_MTU);
        if (peak > UINT32_MAX)
            nla_put_u64(msg, TCA_TBF_PRATE64, peak);
    }
    nla_nest_end(msg, options);
    return vsr_netlink_send(nl, msg);
}

static int add_ingress(vsr_netlink *nl, int index)
{
    struct nl_msg *msg = tc_msg(RTM_NEWQDISC, index,
                                TC_H_MAKE(0xffffu << 16, 0), TC_H_INGRESS, 0);

    if (msg == NULL)
        return -ENOMEM;
    nla_put_string(msg, TCA_KIND, "ingress");
    return vsr_netlink_send(nl, msg);
}

static void put_police(struct nl_msg *msg, const vsr_net_rate *rate)
{
    static const uint8_t table[1024]; /* of times; the kernel has its own */
    uint64_t average = average_of(rate);
    /* In ticks of 64 ns at that rate. */
    uint64_t burst = burst_of(rate) * NS_PER_S / average / 64;
    const struct tc_police police = {
        .action = TC_POLICE_SHOT,
        .burst = (uint32_t)MIN(burst, UINT64_C(0xffffffff)),
        .mtu = POLICE_MTU,
        .rate = spec_of(average),
    };

    nla_put(msg, TCA_POLICE_TBF, sizeof(police), &police);
    nla_put(msg, TCA_POLICE_RATE, sizeof(table), table);
    if (average > UINT32_MAX)
        nla_put_u64(msg, TCA_POLICE_RATE64, average);
}

/* A selector that every packet matches: zero of zero bits. */
static void put_match_all(struct nl_msg *msg)
{
    struct {
        struct tc_u32_sel sel;
        struct tc_u32_key key;
    } all = { .sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };

    nla_put(msg, TCA_U32_SEL, sizeof(all), &all);
}

int vsr_shape_received(vsr_netlink *nl, int index, const vsr_net_rate *rate)
{
    struct nlattr *options, *police;
    struct nl_msg *msg;
    int rc = add_ingress(nl, index);

    if (rc < 0)
        return rc == -ENOENT ? -EOPNOTSUPP : rc;
    msg = tc_msg(RTM_NEWTFILTER, index, 0, TC_H_MAKE(0xffffu << 16, 0),
                 TC_H_MAKE(1u << 16, __builtin_bswap16(ETH_P_ALL)));
    if (msg == NULL)
        return -ENOMEM;
    nla_put_string(msg, TCA_KIND, "u32");
    options = nla_nest_start(msg, TCA_OPTIONS);
    put_match_all(msg);
    police = nla_nest_start(msg, TCA_U32_POLICE);
    put_police(msg, rate);
    nla_nest_end(msg, police);
    nla_nest_end(msg, options);
    rc = vsr_netlink_send(nl, msg);
    /* A module that is not there. */
    return rc == -ENOENT ? -EOPNOTSUPP : rc;
}

/* --- none ------------------------------------------------------------------------ */

static void delete_qdisc(vsr_netlink *nl, int index, uint32_t handle,
                         uint32_t parent)
{
    struct nl_msg *msg = tc_msg(RTM_DELQDISC, index, handle, parent, 0);

    /* If there was none, it is as good. */
    if (msg != NULL)
        (void)vsr_netlink_send(nl, msg);
}

void vsr_shape_clear_sent(vsr_netlink *nl, int index)
{
    delete_qdisc(nl, index, 1 << 16, TC_H_ROOT);
}

void vsr_shape_clear_received(vsr_netlink *nl, int index)
{
    delete_qdisc(nl, index, TC_H_MAKE(0xffffu << 16, 0), TC_H_INGRESS);
}
