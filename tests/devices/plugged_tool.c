/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugged_tool.c: what a busybox cannot do in the guest.
 *
 *   connect PORT  stdin to a port of the host, what comes back to stdout
 *   listen PORT   one client of a port of the guest, who gets all back
 *   lock FILE     locks it, waits for nobody, and unlocks it
 *   attr FILE     gives it an attribute, reads it back, removes it
 */
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

static int copy(int from, int to)
{
    char data[4096];
    ssize_t n, done, one;

    while ((n = read(from, data, sizeof(data))) > 0)
        for (done = 0; done < n; done += one) {
            one = write(to, data + done, (size_t)(n - done));
            if (one < 0)
                return -1;
        }
    return (int)n;
}

static int lock(const char *path)
{
    struct flock how = { .l_type = F_WRLCK };
    int fd = open(path, O_RDWR);

    if (fd < 0 || fcntl(fd, F_SETLK, &how) < 0 || fcntl(fd, F_GETLK, &how) < 0)
        return 1;
    how.l_type = F_UNLCK;
    return fcntl(fd, F_SETLK, &how) < 0;
}

static int attr(const char *path)
{
    char got[100];

    if (setxattr(path, "user.colour", "blue", 4, XATTR_CREATE) < 0 ||
        listxattr(path, got, sizeof(got)) != sizeof("user.colour") ||
        getxattr(path, "user.colour", got, sizeof(got)) != 4 ||
        memcmp(got, "blue", 4) != 0 || removexattr(path, "user.colour") < 0)
        return 1;
    return listxattr(path, got, sizeof(got)) != 0;
}

static int talk(const char *what, unsigned port)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    pid_t writer;

    if (fd < 0)
        return 2;
    a.svm_port = port;
    a.svm_cid = strcmp(what, "listen") == 0 ? VMADDR_CID_ANY : VMADDR_CID_HOST;
    if (a.svm_cid == VMADDR_CID_ANY) {
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
            return 1;
        puts("guest: listening");
        fflush(stdout);
        fd = accept(fd, NULL, NULL);
        return fd < 0 || copy(fd, fd) < 0;
    }
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return 1;
    writer = fork();
    if (writer == 0) {
        int rc = copy(0, fd);

        shutdown(fd, SHUT_WR);
        _exit(rc != 0);
    }
    return copy(fd, 1) < 0;
}

int main(int argc, char **argv)
{
    int rc = 2;

    if (argc != 3)
        return rc;
    if (strcmp(argv[1], "lock") == 0)
        rc = lock(argv[2]);
    else if (strcmp(argv[1], "attr") == 0)
        rc = attr(argv[2]);
    else
        rc = talk(argv[1], (unsigned)atoi(argv[2]));
    if (rc != 0)
        perror(argv[1]);
    return rc;
}
