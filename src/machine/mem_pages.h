/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem_pages.h: the host's side of guest memory: where its pages come from, what
 * the host is told about them, and having them there beforehand.
 *
 * Threads: control, but for mem_pages_clear() (vCPUs stopped) and
 *          mem_pages_discard() (any).
 */
#ifndef VSR_MACHINE_MEM_PAGES_H
#define VSR_MACHINE_MEM_PAGES_H

#include "machine/mem.h"

/* One piece of memory that is mapped at one guest address. */
typedef struct {
    const char *name; /* for messages */
    const vsr_mem_options *options;
    int fd; /* -1: anonymous */
    uint64_t offset;
    uint64_t gpa;
    uint64_t len;  /* bytes that the guest has */
    uint8_t *host; /* after mem_pages_map() */
} mem_pages;

/* A memfd for options->shared; *fd is the caller's to close. */
bool mem_pages_create(const char *name, const vsr_mem_options *options, int *fd,
                      GError **error);
/* Can the host ever hold that much? The memfd gets that length. */
bool mem_pages_grow(const char *name, const vsr_mem_options *options, int fd,
                    uint64_t len, GError **error);

/* Fills `host`. It has the guest address's place within a huge page, so that
 * the host can map both alike. */
bool mem_pages_map(mem_pages *pages, GError **error);
void mem_pages_unmap(mem_pages *pages); /* never mapped: a no-op */
/* Touches and locks as the options say. */
bool mem_pages_populate(const mem_pages *pages, GError **error);
/* Back to zeros; what was to be in memory beforehand stays there. 0 or -errno.
 */
int mem_pages_clear(const mem_pages *pages);
/* Back to the host; whole ordinary pages. 0, -EOPNOTSUPP where they are locked
 * or huge (with a len of 0, too), or -errno. */
int mem_pages_discard(const mem_pages *pages, uint64_t offset, uint64_t len);

#endif
