/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_start.c: how long does `vctl start` take until vCPUs run, `vctl destroy`
 * until the process has gone, and what does a running domain's process cost?
 *
 * Usage: bench_start VCTL ENGINE KERNEL [RUNS]. One session domain of 256 MiB
 * with a pty, in a state folder of its own. The time is a whole vctl, from its
 * start to its exit. Memory is the private memory of visor-vmm, clean and dirty
 * (/proc/PID/smaps), without the mapping that is the guest's RAM: the one of
 * 256 MiB or more; after the last start, so that the host's caches are warm.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 60, RUNS_MAX = 10000, RAM_MIB = 256 };

typedef struct {
    const char *vctl, *engine, *kernel;
    char root[64];
    char uri[128];
    double ms[RUNS_MAX];
    double end_ms[RUNS_MAX];
} bench;

static void die(const char *what)
{
    fprintf(stderr, "bench_start: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Returns the time it took; the output is dropped. */
static double vctl(const bench *b, const char *command, const char *argument)
{
    char *argv[] = { (char *)(size_t)b->vctl,  (char *)(size_t) "-c",
                     (char *)(size_t)b->uri,   (char *)(size_t)command,
                     (char *)(size_t)argument, NULL };
    posix_spawn_file_actions_t files;
    double start;
    int state = 0;
    pid_t pid;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    start = now_ms();
    errno = posix_spawn(&pid, b->vctl, &files, NULL, argv, environ);
    if (errno != 0 || waitpid(pid, &state, 0) != pid)
        die(b->vctl);
    start = now_ms() - start;
    posix_spawn_file_actions_destroy(&files);
    if (state != 0) {
        fprintf(stderr, "bench_start: vctl %s has failed\n", command);
        exit(1);
    }
    return start;
}

static void define(const bench *b)
{
    char path[96];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/a.xml", b->root);
    f = fopen(path, "w");
    if (f == NULL)
        die(path);
    (void)fprintf(
        f,
        "<domain type='%s'><name>a</name><memory unit='MiB'>%d</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='pci'>hvm</type>"
        "<kernel>%s</kernel><cmdline>h</cmdline></os><devices>"
        "<serial type='pty'><target port='0'/></serial></devices></domain>",
        b->engine, RAM_MIB, b->kernel);
    (void)fclose(f);
    (void)vctl(b, "define", path);
}

/* --- memory ----------------------------------------------------------------- */

/* The process that has our state folder's status: its number is in there. */
static int find_pid(const bench *b)
{
    char command[256], text[32] = "";
    FILE *p;

    (void)snprintf(command, sizeof(command),
                   "sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p' "
                   "%s/%s/*-*/status.json",
                   b->root, b->engine);
    p = popen(command, "r"); /* flawfinder: our own names */
    if (p == NULL || fgets(text, sizeof(text), p) == NULL)
        die("no status.json");
    (void)pclose(p);
    return atoi(text);
}

/* In KiB; `of` gets the same for named parts. */
static void measure(int pid)
{
    char path[64], line[4096], name[4096] = "";
    unsigned long from, to, kib, total = 0, dirty = 0, heap = 0, stacks = 0,
                                 files = 0;
    int is_ram = 0, is_file = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
    f = fopen(path, "r");
    if (f == NULL)
        die(path);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %4095s", &from, &to, name) >=
            2) {
            is_ram = to - from >= (unsigned long)RAM_MIB << 20;
            if (sscanf(line, "%*x-%*x %*s %*s %*s %*s %4095s", name) != 1)
                name[0] = '\0';
            is_file = name[0] == '/';
        } else if (!is_ram && (sscanf(line, "Private_Dirty: %lu", &kib) == 1 ||
                               sscanf(line, "Private_Clean: %lu", &kib) == 1)) {
            total += kib;
            dirty += line[8] == 'D' ? kib : 0;
            files += is_file ? kib : 0;
            heap += strcmp(name, "[heap]") == 0 ? kib : 0;
            stacks += name[0] == '\0' ? kib : 0;
        }
    }
    (void)fclose(f);
    printf("visor-vmm's private memory without RAM: %lu KiB (%lu dirty); of "
           "files %lu, heap %lu, without name %lu\n",
           total, dirty, files, heap, stacks);
}

/* --- all ----------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void report(const bench *b, const char *what, double *ms, size_t n)
{
    qsort(ms, n, sizeof(ms[0]), by_size);
    printf("vctl %s on %s, %d MiB, %zu runs: min %.1f, median %.1f, p90 %.1f, "
           "max %.1f ms\n",
           what, b->engine, RAM_MIB, n, ms[0], ms[n / 2], ms[n * 9 / 10],
           ms[n - 1]);
}

static int unlink_one(const char *path, const struct stat *st, int kind,
                      struct FTW *ftw)
{
    return remove(path);
}

int main(int argc, char **argv)
{
    static bench b;
    int runs = argc > 4 ? atoi(argv[4]) : RUNS;

    if (argc < 4 || runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "Usage: %s VCTL ENGINE KERNEL [RUNS]\n", argv[0]);
        return 2;
    }
    b.vctl = argv[1];
    b.engine = argv[2];
    b.kernel = argv[3];
    (void)snprintf(b.root, sizeof(b.root), "/tmp/visor-bench.XXXXXX");
    if (mkdtemp(b.root) == NULL)
        die(b.root);
    (void)snprintf(b.uri, sizeof(b.uri), "%s:///session?root=%s", b.engine,
                   b.root);
    define(&b);
    (void)vctl(&b, "start", "a"); /* caches */
    for (int i = 0; i < runs; i++) {
        b.end_ms[i] = vctl(&b, "destroy", "a");
        b.ms[i] = vctl(&b, "start", "a");
    }
    report(&b, "start", b.ms, (size_t)runs);
    report(&b, "destroy", b.end_ms, (size_t)runs);
    measure(find_pid(&b));
    (void)vctl(&b, "destroy", "a");
    (void)vctl(&b, "undefine", "a");
    return nftw(b.root, unlink_one, 8, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : 1;
}
