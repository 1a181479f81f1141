/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * folder.c: visor-vmm's side of the domain's folder (see driver/folder.h).
 *
 * Spec:    fcntl(2) "Advisory record locking": a record lock is the process's,
 *          goes with it, and tells others who holds it.
 * Threads: main.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "driver/folder.h"
#include "visor-vmm/vmm_main.h"

enum { BACKLOG = 16 };
#define CLAIM_NS INT64_C(2000000000)
#define LEAVE_NS INT64_C(1000000000)

bool vmm_folder_claim(const vsr_setup *setup, GError **error)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    /* Never closed: closing any descriptor of the file would unlock it. */
    int fd = openat(setup->folder_fd, "run.lock",
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int64_t deadline = vsr_now_ns() + CLAIM_NS;

    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot open 'run.lock'");
    /* The starter has the job lock and has seen that nobody runs it; but a
     * process whose own starter was killed may just be about to end. */
    while (fcntl(fd, F_SETLK, &lock) < 0) {
        if (vsr_now_ns() >= deadline)
            return vsr_fail(error, VISOR_ERR_STATE,
                            "Another process runs this domain");
        g_usleep(1000);
    }
    return true;
}

int vmm_folder_listen(const vsr_setup *setup, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX,
                                   .sun_path = "control.sock" };
    vsr_autofd fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* Relative, since sun_path holds 107 bytes and the state folder may be
     * anywhere. */
    if (fd < 0 || fchdir(setup->folder_fd) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot enter the domain's folder");
        return -1;
    }
    (void)unlink(address.sun_path); /* of a process that died */
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(address.sun_path, 0600) < 0 || listen(fd, BACKLOG) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make the control socket");
        return -1;
    }
    if (chdir("/") < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot enter '/'");
        return -1;
    }
    return vsr_steal_fd(&fd);
}

void vmm_folder_leave(const vsr_setup *setup)
{
    g_autoptr(GError) error = NULL;
    char path[] = "";
    vsr_root root = { .path = path, .fd = setup->root_fd, .names_fd = -1 };
    vsr_autofd names = -1;
    int lock;

    (void)unlinkat(setup->folder_fd, "control.sock", 0);
    if (vsr_folder_has(setup->folder_fd, "domain.xml"))
        return;
    names = openat(setup->root_fd, "names",
                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    root.names_fd = names;
    lock = vsr_root_lock(&root, vsr_now_ns() + LEAVE_NS, &error);
    if (lock < 0) {
        vsr_log(VSR_LOG_WARN, "The folder stays: %s", error->message);
        return; /* whoever looks next removes it */
    }
    /* Somebody may have removed it already, and made another. */
    if (vsr_folder_is_current(&root, setup->uuid, setup->folder_fd) &&
        !vsr_folder_has(setup->folder_fd, "domain.xml") &&
        !vsr_root_remove(&root, setup->name, setup->uuid, &error))
        vsr_log(VSR_LOG_WARN, "The folder stays: %s", error->message);
    vsr_folder_unlock(lock);
}
