/* Counts the calls of the system on files below a folder, and lets calls fail.

   fail_configure(folder, at, mode, log): from now on, calls on paths below `folder` are counted from
   1 and written to the descriptor `log`, a line each. mode ERROR: call number `at` fails. mode FULL:
   from call `at` on, no call that changes a file succeeds. mode KILL: the process is killed before
   call `at`. With at = 0, nothing fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ERROR, FULL, KILL };
static char folder[PATH_MAX];
static int number, failing, mode, log_descriptor = -1;

void fail_configure(const char *path, int at, int how, int log) {
    strncpy(folder, path, sizeof folder - 1);
    number = 0;
    failing = at;
    mode = how;
    log_descriptor = log;
}

/* Count a call, and return whether it must fail, after setting errno. */
static int fails(const char *call, const char *path, int error) {
    char absolute[2 * PATH_MAX], here[PATH_MAX] = "", line[3 * PATH_MAX];
    size_t size = strlen(folder);
    if (!size || !path) return 0;
    if (path[0] != '/' && syscall(SYS_getcwd, here, sizeof here) < 0) return 0;
    snprintf(absolute, sizeof absolute, "%s%s%s", here, here[0] ? "/" : "", path);
    if (strncmp(absolute, folder, size) || (absolute[size] && absolute[size] != '/')) return 0;
    int mine = __sync_add_and_fetch(&number, 1);
    int length = snprintf(line, sizeof line, "%s %s\n", call, absolute);
    syscall(SYS_write, log_descriptor, line, length);
    int changes = strcmp(call, "open") && strcmp(call, "mmap");
    if (!failing || mine < failing || (mode != FULL && mine > failing)) return 0;
    if (mode == FULL && !changes) return 0;
    if (mode == KILL) kill(getpid(), SIGKILL);
    errno = mode == FULL ? ENOSPC : error;
    return 1;
}

static int fails_at(const char *call, int descriptor, int error) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = folder[0] && descriptor >= 0 ? readlink(link, path, sizeof path - 1) : 0;
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(call, path, error);
}

/* Annoy does not check the result of mmap. mindref maps its file before, and that call is counted. */
static int is_annoy(void *caller) {
    Dl_info origin;
    return dladdr(caller, &origin) && origin.dli_fname && strstr(origin.dli_fname, "annoylib");
}

static const char *kind(int flags) {
    return flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR) ? "create" : "open";
}

static mode_t rights(va_list rest) {
    mode_t bits = va_arg(rest, mode_t);
    va_end(rest);
    return bits;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CALL(type, name, failure, condition, parameters, arguments) \
    type name parameters { return (condition) ? (failure) : REAL(name) arguments; }
#define OPEN(name)                                                                          \
    int name(const char *path, int flags, ...) {                                            \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t bits = rights(rest);                                                         \
        return fails(kind(flags), path, EIO) ? -1 : REAL(name)(path, flags, bits);          \
    }
#define OPENAT(name)                                                                        \
    int name(int at, const char *path, int flags, ...) {                                    \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t bits = rights(rest);                                                         \
        int fail = at == AT_FDCWD && fails(kind(flags), path, EIO);                         \
        return fail ? -1 : REAL(name)(at, path, flags, bits);                               \
    }
#define MAPS \
    (!(flags & MAP_ANONYMOUS) && !is_annoy(__builtin_return_address(0)) && \
     fails_at("mmap", fd, ENOMEM))

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CALL(ssize_t, write, -1, fails_at("write", fd, EIO),
     (int fd, const void *data, size_t size), (fd, data, size))
CALL(ssize_t, writev, -1, fails_at("write", fd, EIO),
     (int fd, const struct iovec *parts, int count), (fd, parts, count))
CALL(ssize_t, pwrite, -1, fails_at("write", fd, EIO),
     (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
CALL(ssize_t, pwrite64, -1, fails_at("write", fd, EIO),
     (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
CALL(ssize_t, sendfile64, -1, fails_at("write", fd, EIO),
     (int fd, int from, off64_t *at, size_t size), (fd, from, at, size))
CALL(int, rename, -1, fails("rename", to, EIO),
     (const char *from, const char *to), (from, to))
CALL(int, renameat, -1, fails("rename", to, EIO),
     (int at, const char *from, int other, const char *to), (at, from, other, to))
CALL(int, link, -1, fails("link", to, EIO),
     (const char *from, const char *to), (from, to))
CALL(int, mkdir, -1, fails("mkdir", path, EIO),
     (const char *path, mode_t bits), (path, bits))
CALL(int, fsync, -1, fails_at("fsync", fd, EIO),
     (int fd), (fd))
CALL(int, fdatasync, -1, fails_at("fsync", fd, EIO),
     (int fd), (fd))
CALL(int, ftruncate64, -1, fails_at("truncate", fd, EIO),
     (int fd, off64_t size), (fd, size))
CALL(void *, mmap, MAP_FAILED, MAPS,
     (void *start, size_t size, int prot, int flags, int fd, off_t at),
     (start, size, prot, flags, fd, at))
CALL(void *, mmap64, MAP_FAILED, MAPS,
     (void *start, size_t size, int prot, int flags, int fd, off64_t at),
     (start, size, prot, flags, fd, at))
