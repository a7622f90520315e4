/* Preloaded into a process: its wall clock jumps, its disk is slow or full, when a file says so.
 *
 * CHAOS_CONTROL names a file of the `struct control` below, which is mapped when the process
 * starts and written by whoever plays with it; without it every call goes straight through.
 * CHAOS_DISKS has the folders, colons between them, whose files the faults of the disk meet.
 *
 * Only CLOCK_REALTIME and its kin move. A wait until a moment of the moved clock is translated,
 * or it would last as long as the jump; a monotonic clock is never touched. What bypasses the
 * C library (a static binary, a bare system call, a mapped page) is not met.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic int64_t clock_offset_ms;
    _Atomic int64_t disk_delay_ms; /* before each fsync, fdatasync, sync_file_range, pwrite */
    _Atomic int64_t disk_errno;    /* of whatever would write; 0: none */
};

static const struct control *control;
static char disks[PATH_MAX * 4]; /* each with a colon behind it */

#define NEXT(name)                                                                                \
    static __typeof__(name) *next;                                                                \
    if (!next)                                                                                    \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CHAOS_CONTROL"), *folders = getenv("CHAOS_DISKS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        return;
    snprintf(disks, sizeof disks, "%s:", folders ? folders : "");
    control = mapped;
}

/* ---- the disk ---------------------------------------------------------------------------- */

static int on_disk(const char *path)
{
    for (const char *each = disks, *end; (end = strchr(each, ':')); each = end + 1) {
        size_t length = (size_t)(end - each);
        if (length && !strncmp(path, each, length) && (path[length] == '/' || !path[length]))
            return 1;
    }
    return 0;
}

static int fd_path(int fd, char *found)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, found, PATH_MAX - 1);
    if (length < 0)
        return 0;
    found[length] = 0;
    return 1;
}

static int fd_on_disk(int fd)
{
    char path[PATH_MAX];
    return fd_path(fd, path) && on_disk(path);
}

/* By its folder, which is there, with links resolved; the file itself may not be yet. */
static int path_on_disk(int at, const char *path)
{
    char whole[2 * PATH_MAX] = "", folder[PATH_MAX];
    if (path[0] != '/') {
        if (at == AT_FDCWD ? !getcwd(whole, PATH_MAX) : !fd_path(at, whole))
            return 0;
        strcat(whole, "/");
    }
    strncat(whole, path, PATH_MAX - 1);
    char *slash = strrchr(whole, '/');
    *slash = 0;
    return realpath(*whole ? whole : "/", folder) && on_disk(folder);
}

/* The error that a write to this file has now, 0 for none; errno is as it was. */
static int fd_error(int fd)
{
    int failing = control ? (int)control->disk_errno : 0, before = errno;
    int error = failing && fd_on_disk(fd) ? failing : 0;
    errno = before;
    return error;
}

static int path_error(int at, const char *path)
{
    int failing = control ? (int)control->disk_errno : 0, before = errno;
    int error = failing && path && path_on_disk(at, path) ? failing : 0;
    errno = before;
    return error;
}

static void slowly(int fd)
{
    int64_t ms = control ? control->disk_delay_ms : 0;
    int before = errno;
    if (ms > 0 && fd_on_disk(fd)) {
        struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
        while (nanosleep(&rest, &rest) && errno == EINTR)
            ;
    }
    errno = before;
}

#define FAIL(error, answer)                                                                       \
    do {                                                                                          \
        int found = (error);                                                                      \
        if (found) {                                                                              \
            errno = found;                                                                        \
            return answer;                                                                        \
        }                                                                                         \
    } while (0)

/* What writes through a descriptor: its type, name, parameters and how to pass them on. */
#define WRITES(type, name, parameters, arguments)                                                 \
    type name parameters                                                                          \
    {                                                                                             \
        NEXT(name);                                                                               \
        FAIL(fd_error(fd), -1);                                                                   \
        return next arguments;                                                                    \
    }

#define WRITES_SLOWLY(type, name, parameters, arguments)                                          \
    type name parameters                                                                          \
    {                                                                                             \
        NEXT(name);                                                                               \
        slowly(fd);                                                                               \
        FAIL(fd_error(fd), -1);                                                                   \
        return next arguments;                                                                    \
    }

WRITES(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
WRITES(ssize_t, writev, (int fd, const struct iovec *data, int n), (fd, data, n))
WRITES(int, ftruncate, (int fd, off_t n), (fd, n))
WRITES(int, ftruncate64, (int fd, off64_t n), (fd, n))
WRITES(int, fallocate, (int fd, int mode, off_t from, off_t n), (fd, mode, from, n))
WRITES(int, fallocate64, (int fd, int mode, off64_t from, off64_t n), (fd, mode, from, n))
WRITES_SLOWLY(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
WRITES_SLOWLY(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at),
              (fd, data, n, at))
WRITES_SLOWLY(ssize_t, pwritev, (int fd, const struct iovec *data, int n, off_t at),
              (fd, data, n, at))
WRITES_SLOWLY(ssize_t, pwritev64, (int fd, const struct iovec *data, int n, off64_t at),
              (fd, data, n, at))
WRITES_SLOWLY(int, fsync, (int fd), (fd))
WRITES_SLOWLY(int, fdatasync, (int fd), (fd))
WRITES_SLOWLY(int, sync_file_range, (int fd, off64_t from, off64_t n, unsigned flags),
              (fd, from, n, flags))

int posix_fallocate(int fd, off_t from, off_t n)
{
    NEXT(posix_fallocate);
    int error = fd_error(fd); /* this one returns it */
    return error ? error : next(fd, from, n);
}

int posix_fallocate64(int fd, off64_t from, off64_t n)
{
    NEXT(posix_fallocate64);
    int error = fd_error(fd);
    return error ? error : next(fd, from, n);
}

static int for_writing(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC); }

static mode_t mode_of(int flags, va_list rest)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPENS(name)                                                                               \
    int name(const char *path, int flags, ...)                                                    \
    {                                                                                             \
        NEXT(name);                                                                               \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode_t mode = mode_of(flags, rest);                                                       \
        va_end(rest);                                                                             \
        FAIL(for_writing(flags) ? path_error(AT_FDCWD, path) : 0, -1);                            \
        return next(path, flags, mode);                                                           \
    }

#define OPENS_AT(name)                                                                            \
    int name(int at, const char *path, int flags, ...)                                            \
    {                                                                                             \
        NEXT(name);                                                                               \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode_t mode = mode_of(flags, rest);                                                       \
        va_end(rest);                                                                             \
        FAIL(for_writing(flags) ? path_error(at, path) : 0, -1);                                  \
        return next(at, path, flags, mode);                                                       \
    }

/* As a program built with _FORTIFY_SOURCE calls them where no mode is given. */
#define OPENS_CHECKED(name)                                                                       \
    int name(const char *path, int flags);                                                        \
    int name(const char *path, int flags)                                                         \
    {                                                                                             \
        NEXT(name);                                                                               \
        FAIL(for_writing(flags) ? path_error(AT_FDCWD, path) : 0, -1);                            \
        return next(path, flags);                                                                 \
    }

#define OPENS_AT_CHECKED(name)                                                                    \
    int name(int at, const char *path, int flags);                                                \
    int name(int at, const char *path, int flags)                                                 \
    {                                                                                             \
        NEXT(name);                                                                               \
        FAIL(for_writing(flags) ? path_error(at, path) : 0, -1);                                  \
        return next(at, path, flags);                                                             \
    }

/* What makes something new at a path. */
#define MAKES(type, name, none, parameters, arguments, at, path)                                  \
    type name parameters                                                                          \
    {                                                                                             \
        NEXT(name);                                                                               \
        FAIL(path_error(at, path), none);                                                         \
        return next arguments;                                                                    \
    }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
OPENS_CHECKED(__open_2)
OPENS_CHECKED(__open64_2)
OPENS_AT_CHECKED(__openat_2)
OPENS_AT_CHECKED(__openat64_2)
MAKES(int, creat, -1, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
MAKES(int, creat64, -1, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
MAKES(int, mkdir, -1, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
MAKES(int, mkdirat, -1, (int at, const char *path, mode_t mode), (at, path, mode), at, path)
MAKES(int, link, -1, (const char *from, const char *to), (from, to), AT_FDCWD, to)
MAKES(int, linkat, -1, (int from_at, const char *from, int at, const char *to, int flags),
      (from_at, from, at, to, flags), at, to)
MAKES(int, rename, -1, (const char *from, const char *to), (from, to), AT_FDCWD, to)
MAKES(int, renameat, -1, (int from_at, const char *from, int at, const char *to),
      (from_at, from, at, to), at, to)

#define FOPENS(name)                                                                              \
    FILE *name(const char *path, const char *mode)                                                \
    {                                                                                             \
        NEXT(name);                                                                               \
        FAIL(strpbrk(mode, "wa+") ? path_error(AT_FDCWD, path) : 0, NULL);                        \
        return next(path, mode);                                                                  \
    }

FOPENS(fopen)
FOPENS(fopen64)

/* ---- the wall clock ---------------------------------------------------------------------- */

static int64_t offset_ms(void) { return control ? control->clock_offset_ms : 0; }

static struct timespec moved(struct timespec when, int64_t ms)
{
    int64_t nanos = when.tv_nsec + ms % 1000 * 1000000, carry = nanos < 0 ? -1 : nanos / 1000000000;
    return (struct timespec){when.tv_sec + ms / 1000 + carry, nanos - carry * 1000000000};
}

static int is_wall(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    NEXT(clock_gettime);
    int failed = next(clock, now);
    if (!failed && is_wall(clock))
        *now = moved(*now, offset_ms());
    return failed;
}

int timespec_get(struct timespec *now, int base)
{
    NEXT(timespec_get);
    int found = next(now, base);
    if (found == TIME_UTC)
        *now = moved(*now, offset_ms());
    return found;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    NEXT(gettimeofday);
    int failed = next(now, zone);
    if (!failed) {
        struct timespec found = moved((struct timespec){now->tv_sec, now->tv_usec * 1000},
                                      offset_ms());
        *now = (struct timeval){found.tv_sec, found.tv_nsec / 1000};
    }
    return failed;
}

time_t time(time_t *into)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}

/* A deadline by the moved clock as the kernel's clock has it. One below 10^9 seconds is of a
 * monotonic clock, which counts from the start of the machine: 31 years are not reached. */
static struct timespec deadline(const struct timespec *when)
{
    return when->tv_sec < 1000000000 ? *when : moved(*when, -offset_ms());
}

/* glibc has two of this name, and would give the one of 2002. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict when)
{
    static __typeof__(pthread_cond_timedwait) *next;
    if (!next)
        next = (__typeof__(next))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!next)
        next = (__typeof__(next))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec kernels = deadline(when);
    return next(condition, mutex, &kernels);
}

int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           clockid_t clock, const struct timespec *restrict when)
{
    NEXT(pthread_cond_clockwait);
    struct timespec kernels = deadline(when);
    return next(condition, mutex, clock, &kernels);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict when)
{
    NEXT(pthread_mutex_timedlock);
    struct timespec kernels = deadline(when);
    return next(mutex, &kernels);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict when)
{
    NEXT(sem_timedwait);
    struct timespec kernels = deadline(when);
    return next(semaphore, &kernels);
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict when)
{
    NEXT(sem_clockwait);
    struct timespec kernels = deadline(when);
    return next(semaphore, clock, &kernels);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *when, struct timespec *rest)
{
    NEXT(clock_nanosleep);
    struct timespec kernels = flags & TIMER_ABSTIME ? deadline(when) : *when;
    return next(clock, flags, &kernels, rest);
}
