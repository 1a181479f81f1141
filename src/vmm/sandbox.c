/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox.c: see sandbox.h: namespaces, the empty root, limits, capabilities.
 *
 * A folder's descriptor leads out of an empty root, by "..": so the folders we
 * keep become mounts of their own, whose ".." is the empty root, and are opened
 * anew there.
 *
 * Spec:    user_namespaces(7), mount_namespaces(7), pivot_root(2), open_tree:
 *          Linux, include/uapi/linux/mount.h; capabilities(7).
 * Threads: as sandbox.h says.
 */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE   1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif

enum {
    FILES_MAX = 4096,
    RESOLVER_MAX = 64 << 10,
    FILE_BYTES = 64 << 20, /* logs and status are bounded far below */
};

/* --- descriptors ----------------------------------------------------------- */

bool vsr_sandbox_reserve(GError **error)
{
    for (int fd = VSR_SANDBOX_FOLDER_FD; fd < VSR_SANDBOX_FDS_END; fd++)
        if (dup3(STDIN_FILENO, fd, O_CLOEXEC) < 0)
            return vsr_fail_errno(error, errno, "Cannot reserve descriptor %d",
                                  fd);
    return true;
}

bool vsr_sandbox_place(int fd, int number, GError **error)
{
    int rc = dup3(fd, number, O_CLOEXEC) < 0 ? -errno : 0;

    vsr_close(fd);
    return rc == 0 ||
           vsr_fail_errno(error, rc, "Cannot place descriptor %d", number);
}

/* --- capabilities ------------------------------------------------------------ */

/* Of this thread and those it starts. */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {
        { 0, 0, 0 }
    };

    /* The bounding set first: that needs one. Who has none has nothing that
     * could be gained from it either, as we may gain none. */
    for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
        ;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) < 0)
        vsr_log(VSR_LOG_WARN, "Sandbox: capabilities stay: %s",
                g_strerror(errno));
}

/* --- the mounter --------------------------------------------------------------- */

/* The one thread that keeps capabilities, until it has changed the root for all
 * of us; then it ends. */
struct vsr_sandbox_mounter {
    GThread *thread;
    GMutex lock;
    GCond told;
    const vsr_sandbox *sandbox; /* set: go on */
    int result;
};

static int confine_paths(const vsr_sandbox *sandbox);

static void *mounter_main(void *opaque)
{
    vsr_sandbox_mounter *mounter = opaque;
    const vsr_sandbox *sandbox;

    g_mutex_lock(&mounter->lock);
    while (mounter->sandbox == NULL)
        g_cond_wait(&mounter->told, &mounter->lock);
    sandbox = mounter->sandbox;
    g_mutex_unlock(&mounter->lock);
    mounter->result = confine_paths(sandbox);
    return NULL;
}

static vsr_sandbox_mounter *mounter_new(void)
{
    vsr_sandbox_mounter *mounter = g_new0(vsr_sandbox_mounter, 1);

    g_mutex_init(&mounter->lock);
    g_cond_init(&mounter->told);
    mounter->thread = vsr_thread_new("mounter", mounter_main, mounter, NULL);
    if (mounter->thread == NULL)
        g_clear_pointer(&mounter, g_free);
    return mounter;
}

/* Frees it; what confine_paths() returned. */
static int mounter_run(vsr_sandbox_mounter *mounter, const vsr_sandbox *sandbox)
{
    int result;

    g_mutex_lock(&mounter->lock);
    mounter->sandbox = sandbox;
    g_cond_signal(&mounter->told);
    g_mutex_unlock(&mounter->lock);
    g_thread_join(mounter->thread);
    result = mounter->result;
    g_cond_clear(&mounter->told);
    g_mutex_clear(&mounter->lock);
    g_free(mounter);
    return result;
}

/* --- namespaces -------------------------------------------------------------- */

static int write_proc(const char *path, const char *text)
{
    vsr_autofd fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 ? -errno : vsr_write_all(fd, text, strlen(text));
}

/* We stay who we are; nobody else has a number in there. */
static int map_ids(uid_t uid, gid_t gid)
{
    char text[64];
    int rc = write_proc("/proc/self/setgroups", "deny");

    if (rc == 0) {
        (void)snprintf(text, sizeof(text), "%u %u 1", (unsigned)uid,
                       (unsigned)uid);
        rc = write_proc("/proc/self/uid_map", text);
    }
    if (rc == 0) {
        (void)snprintf(text, sizeof(text), "%u %u 1", (unsigned)gid,
                       (unsigned)gid);
        rc = write_proc("/proc/self/gid_map", text);
    }
    return rc;
}

static void enter_namespaces(vsr_sandbox *sandbox)
{
    const int spaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
                       (sandbox->extras & SANDBOX_NETWORK ? 0 : CLONE_NEWNET);
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int rc;

    if (unshare(CLONE_NEWUSER | spaces) == 0) {
        rc = map_ids(uid, gid);
        if (rc < 0)
            vsr_log(VSR_LOG_INFO, "Sandbox: no user numbers: %s",
                    g_strerror(-rc));
        sandbox->has_mounts = true;
        return;
    }
    rc = errno;
    if (uid == 0 && unshare(spaces) == 0) {
        vsr_log(VSR_LOG_INFO, "Sandbox: no user namespace: %s", g_strerror(rc));
        sandbox->has_mounts = true;
        return;
    }
    vsr_log(VSR_LOG_INFO,
            "Sandbox: the host gives no namespaces to user %u: %s; only the "
            "system call filter holds",
            (unsigned)uid, g_strerror(rc));
}

void vsr_sandbox_isolate(vsr_sandbox *sandbox)
{
    const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

    /* Root may lock memory; in there the limit counts for it too. */
    if (geteuid() == 0)
        (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
    enter_namespaces(sandbox);
    if (sandbox->has_mounts)
        sandbox->mounter = mounter_new();
    drop_capabilities();
}

/* --- the root folder ----------------------------------------------------------- */

static bool is_same(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* A mount of its own of the folder that `fd`, opened before our mount namespace
 * was, is: -1 with errno if there is none. */
static int clone_folder(int fd, char path[PATH_MAX])
{
    char link[32];
    vsr_autofd tree = -1;
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, PATH_MAX - 1);
    if (n < 0)
        return -1;
    path[n] = '\0';
    tree = (int)syscall(SYS_open_tree, AT_FDCWD, path,
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree >= 0 && !is_same(tree, fd)) {
        errno = ENOENT; /* moved, or something is mounted over it */
        return -1;
    }
    return vsr_steal_fd(&tree);
}

static bool put_folder(int tree, const char *name)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    return mkdir(name, 0700) == 0 &&
           syscall(SYS_move_mount, tree, "", AT_FDCWD, name,
                   MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
           mount(NULL, name, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0;
}

enum { FOLDERS_MAX = 1 + VSR_SANDBOX_FOLDERS };

/* ROOT/ENGINE, then the kept ones. */
static const char *folder_name(uint32_t i, char text[32])
{
    if (i == 0)
        return "state";
    (void)snprintf(text, 32, "proc/self/fd/%u", VSR_SANDBOX_KEPT_FD + i - 1);
    return text;
}

/* For libslirp, as it is now. */
static bool put_resolver(void)
{
    g_autofree char *text = NULL;
    vsr_autofd fd = -1;

    if (!vsr_file_load("/etc/resolv.conf", RESOLVER_MAX, &text, NULL, NULL))
        return true; /* it has a default */
    if (mkdir("etc", 0700) < 0)
        return false;
    fd = open("etc/resolv.conf", O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    return fd >= 0 && vsr_write_all(fd, text, strlen(text)) == 0;
}

/* Into a tmpfs with nothing but the folders. Nothing has changed for our
 * threads until pivot_root(). `tree`: the folders' mounts. */
static int enter_empty_root(const vsr_sandbox *sandbox, const char *at,
                            const int *tree, uint32_t n)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char text[32];

    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("visor-vmm", at, "tmpfs", flags, "mode=0700,size=256k") < 0 ||
        chdir(at) < 0)
        return -errno;
    if (n > 1 && (mkdir("proc", 0700) < 0 || mkdir("proc/self", 0700) < 0 ||
                  mkdir("proc/self/fd", 0700) < 0))
        return -errno;
    for (uint32_t i = 0; i < n; i++)
        if (!put_folder(tree[i], folder_name(i, text)))
            return -errno;
    if (sandbox->extras & SANDBOX_NETWORK && !put_resolver())
        return -errno;
    if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) <
            0 ||
        syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return -errno;
    return 0;
}

/* The same folder as the one that has the number, seen from in here. */
static bool replace(int number, int folder_fd, const char *name, int flags)
{
    vsr_autofd fd =
        openat(folder_fd, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && !is_same(fd, number)) {
        errno = ENOENT;
        return false;
    }
    return fd >= 0 && dup3(fd, number, O_CLOEXEC) >= 0;
}

static bool replace_folders(const vsr_sandbox *sandbox)
{
    char text[32];

    if (!replace(VSR_SANDBOX_ROOT_FD, AT_FDCWD, "state", O_RDONLY) ||
        !replace(VSR_SANDBOX_FOLDER_FD, VSR_SANDBOX_ROOT_FD, sandbox->uuid,
                 O_RDONLY))
        return false;
    for (uint32_t i = 0; i < sandbox->n_folders; i++)
        if (!replace(VSR_SANDBOX_KEPT_FD + (int)i, AT_FDCWD,
                     folder_name(i + 1, text), O_PATH))
            return false;
    return true;
}

/* On the mounter. 1: the host's files stay visible; -errno: half done. */
static int confine_paths(const vsr_sandbox *sandbox)
{
    int tree[FOLDERS_MAX];
    char path[PATH_MAX], at[PATH_MAX];
    uint32_t n = 0;
    int rc = 0;

    tree[n++] = clone_folder(VSR_SANDBOX_ROOT_FD, at);
    while (tree[n - 1] >= 0 && n <= sandbox->n_folders) {
        tree[n] = clone_folder(VSR_SANDBOX_KEPT_FD + (int)n - 1, path);
        n++;
    }
    rc = tree[n - 1] < 0 ? -errno : enter_empty_root(sandbox, at, tree, n);
    for (uint32_t i = 0; i < n; i++)
        vsr_close(tree[i]);
    if (rc < 0) {
        /* A host may forbid mounts in the namespace it gave us. */
        vsr_log(VSR_LOG_INFO, "Sandbox: the host's files stay visible: %s",
                g_strerror(-rc));
        return chdir("/") < 0 ? -errno : 1;
    }
    return replace_folders(sandbox) ? 0 : -errno;
}

/* --- limits ---------------------------------------------------------------------- */

static void lower_limit(__rlimit_resource_t what, rlim_t value)
{
    struct rlimit limit;

    if (getrlimit(what, &limit) < 0)
        return;
    limit.rlim_max = MIN(limit.rlim_max, value);
    limit.rlim_cur = MIN(limit.rlim_cur, limit.rlim_max);
    (void)setrlimit(what, &limit);
}

bool vsr_sandbox_confine(vsr_sandbox *sandbox, GError **error)
{
    if (sandbox->mounter != NULL) {
        int rc = mounter_run(g_steal_pointer(&sandbox->mounter), sandbox);

        if (rc < 0)
            return vsr_fail_errno(error, rc,
                                  "Sandbox: the domain's folder is not in the "
                                  "new root");
    }
    lower_limit(RLIMIT_NOFILE, FILES_MAX);
    lower_limit(RLIMIT_CORE, 0); /* a core has the guest's memory */
#ifndef VSR_SANITIZERS
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    (void)signal(SIGXFSZ, SIG_IGN);
    if (!sandbox->writes_files)
        lower_limit(RLIMIT_FSIZE, FILE_BYTES);
    return vsr_sandbox_enter_all(sandbox, error);
}
