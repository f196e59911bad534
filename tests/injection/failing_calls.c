/* Counts the calls of the system on files below a folder, and lets one of them fail once.

   fail_configure(folder, at, log): from now on, calls on paths below `folder` are counted from 1 and
   written to the descriptor `log`, a line each; call number `at` fails (0: none). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static int number, failing, log_descriptor = -1;

void fail_configure(const char *path, int at, int log) {
    strncpy(folder, path, sizeof folder - 1);
    number = 0;
    failing = at;
    log_descriptor = log;
}

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

/* Return whether the call must fail, after setting errno. */
static int fails(const char *name, const char *path, int error) {
    char absolute[2 * PATH_MAX], line[3 * PATH_MAX];
    if (!folder[0] || !path) return 0;
    if (path[0] == '/') {
        snprintf(absolute, sizeof absolute, "%s", path);
    } else {
        char here[PATH_MAX];
        if (syscall(SYS_getcwd, here, sizeof here) < 0) return 0;
        snprintf(absolute, sizeof absolute, "%s/%s", here, path);
    }
    if (!is_below(absolute)) return 0;
    int mine = __sync_add_and_fetch(&number, 1);
    int length = snprintf(line, sizeof line, "%s %s\n", name, absolute);
    syscall(SYS_write, log_descriptor, line, length);
    if (mine != failing) return 0;
    errno = error;
    return 1;
}

static int descriptor_fails(const char *name, int descriptor, int error) {
    char link[64], path[PATH_MAX];
    if (!folder[0] || descriptor < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(name, path, error);
}

/* Annoy does not check the result of mmap. mindref maps its file before, and that call is counted. */
static int is_annoy(void *caller) {
    Dl_info found;
    return dladdr(caller, &found) && found.dli_fname && strstr(found.dli_fname, "annoylib");
}

/* Return whether a call that maps a file must fail. */
static int mapping_fails(int flags, int descriptor, void *caller) {
    return !(flags & MAP_ANONYMOUS) && !is_annoy(caller) && descriptor_fails("mmap", descriptor, ENOMEM);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        va_list more;                                                  \
        va_start(more, flags);                                         \
        mode_t mode = va_arg(more, mode_t);                            \
        va_end(more);                                                  \
        return fails("open", path, EIO) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                   \
    int name(int at, const char *path, int flags, ...) {               \
        va_list more;                                                  \
        va_start(more, flags);                                         \
        mode_t mode = va_arg(more, mode_t);                            \
        va_end(more);                                                  \
        int fail = at == AT_FDCWD && fails("open", path, EIO);         \
        return fail ? -1 : REAL(name)(at, path, flags, mode);          \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void *data, size_t size) {
    return descriptor_fails("write", descriptor, EIO) ? -1 : REAL(write)(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    return descriptor_fails("write", descriptor, EIO) ? -1 : REAL(writev)(descriptor, parts, count);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t place) {
    int fail = descriptor_fails("write", descriptor, EIO);
    return fail ? -1 : REAL(pwrite)(descriptor, data, size, place);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t place) {
    int fail = descriptor_fails("write", descriptor, EIO);
    return fail ? -1 : REAL(pwrite64)(descriptor, data, size, place);
}

ssize_t sendfile64(int to, int from, off64_t *place, size_t size) {
    return descriptor_fails("write", to, EIO) ? -1 : REAL(sendfile64)(to, from, place, size);
}

int rename(const char *from, const char *to) {
    return fails("rename", to, EIO) ? -1 : REAL(rename)(from, to);
}

int renameat(int at, const char *from, int other, const char *to) {
    return fails("rename", to, EIO) ? -1 : REAL(renameat)(at, from, other, to);
}

int link(const char *from, const char *to) {
    return fails("link", to, EIO) ? -1 : REAL(link)(from, to);
}

int mkdir(const char *path, mode_t mode) {
    return fails("mkdir", path, EIO) ? -1 : REAL(mkdir)(path, mode);
}

int fsync(int descriptor) {
    return descriptor_fails("fsync", descriptor, EIO) ? -1 : REAL(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    return descriptor_fails("fsync", descriptor, EIO) ? -1 : REAL(fdatasync)(descriptor);
}

int ftruncate64(int descriptor, off64_t size) {
    return descriptor_fails("truncate", descriptor, EIO) ? -1 : REAL(ftruncate64)(descriptor, size);
}

void *mmap(void *start, size_t size, int rights, int flags, int descriptor, off_t place) {
    if (mapping_fails(flags, descriptor, __builtin_return_address(0))) return MAP_FAILED;
    return REAL(mmap)(start, size, rights, flags, descriptor, place);
}

void *mmap64(void *start, size_t size, int rights, int flags, int descriptor, off64_t place) {
    if (mapping_fails(flags, descriptor, __builtin_return_address(0))) return MAP_FAILED;
    return REAL(mmap64)(start, size, rights, flags, descriptor, place);
}
