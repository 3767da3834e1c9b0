/* Writes down, in order, what a program does to the files below a folder, so that a power loss can be made of it afterwards.
 *
 * Loaded by LD_PRELOAD into the daemon and everything it starts. POWER_ROOT is the folder, POWER_LOG the file that gets one record
 * per effect, with the data, once the effect has happened and before the caller hears of it: whoever acts on an effect acts after
 * its record, so every prefix of the log is a moment at which the power may have failed. What writes through a mapping (SQLite's
 * -shm, which a restart throws away) and glibc's own calls are not seen; what stdio writes is recorded whole when it is closed.
 * tests/faults/power_disk.py reads the records.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct record {
    uint32_t magic;
    char kind;
    char unused;
    uint16_t path_length, other_length;
    uint16_t unused_too;
    uint32_t data_length;
    uint64_t inode, number;
} __attribute__((packed));

#define MAGIC 0x50574c31u
#define REAL(name) static __typeof__(&name) real; if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

static const char *root, *log_path;
static size_t root_length;

__attribute__((constructor)) static void begin(void) {
    root = getenv("POWER_ROOT");
    log_path = getenv("POWER_LOG");
    root_length = root ? strlen(root) : 0;
}

static int is_below(const char *path) {
    return root && log_path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static void put(char kind, uint64_t inode, uint64_t number, const char *path, const char *other, const struct iovec *data, int count) {
    struct record head = {MAGIC, kind, 0, (uint16_t)strlen(path), (uint16_t)strlen(other), 0, 0, inode, number};
    struct iovec parts[IOV_MAX];
    int error = errno, used = 3, file;
    parts[0] = (struct iovec){&head, sizeof head};
    parts[1] = (struct iovec){(void *)path, head.path_length};
    parts[2] = (struct iovec){(void *)other, head.other_length};
    for (int i = 0; i < count && used < IOV_MAX; i++) {
        head.data_length += data[i].iov_len;
        parts[used++] = data[i];
    }
    file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        syscall(SYS_writev, file, parts, used);
        syscall(SYS_close, file);
    }
    errno = error;
}

static void put_names(char kind, uint64_t inode, const char *path, const char *other) { put(kind, inode, 0, path, other, NULL, 0); }

/* The inode of an open regular file, or folder, below the root; 0 of any other. */
static uint64_t tracked(int fd) {
    char link[64], path[PATH_MAX];
    struct stat found;
    int error = errno;
    uint64_t inode = 0;
    if (root && log_path && !fstat(fd, &found) && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length > 0) {
            path[length] = 0;
            if (is_below(path)) inode = found.st_ino;
        }
    }
    errno = error;
    return inode;
}

/* The absolute path, in `full`; returns whether it is below the root. */
static int absolute(int folder, const char *path, char *full) {
    char link[64], start[PATH_MAX];
    ssize_t length;
    int error = errno;
    if (!root || !log_path || !path) return 0;
    if (path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
    } else {
        if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, start, sizeof start - 1);
        errno = error;
        if (length <= 0) return 0;
        start[length] = 0;
        if (snprintf(full, PATH_MAX, "%s/%s", start, path) >= PATH_MAX) return 0;
    }
    return is_below(full);
}

static void wrote(int fd, ssize_t written, const struct iovec *data, int count, int64_t offset) {
    struct iovec parts[IOV_MAX];
    uint64_t inode;
    int used = 0;
    if (written <= 0 || !(inode = tracked(fd))) return;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - written;
    for (size_t left = written; left && used < count; used++) {
        parts[used] = data[used];
        if (parts[used].iov_len > left) parts[used].iov_len = left;
        left -= parts[used].iov_len;
    }
    put('W', inode, offset, "", "", parts, used);
}

static void cut(int fd, int result, uint64_t length) {
    uint64_t inode;
    if (!result && (inode = tracked(fd))) put('T', inode, length, "", "", NULL, 0);
}

static void opened(int fd, int folder, const char *path, int flags) {
    char full[PATH_MAX];
    uint64_t inode;
    if (fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || !absolute(folder, path, full) || !(inode = tracked(fd))) return;
    if (flags & O_CREAT) put_names('C', inode, full, "");
    if (flags & O_TRUNC) put('T', inode, 0, "", "", NULL, 0);
}

/* What is in a file now, whole: of writes that were not seen one by one. */
static void copied(int fd, uint64_t inode) {
    static const size_t most = 64 << 20;
    char link[64];
    struct stat found;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (again < 0) return;
    if (!fstat(again, &found) && (size_t)found.st_size <= most) {
        char *content = malloc(found.st_size + 1);
        ssize_t length = content ? pread(again, content, found.st_size, 0) : -1;
        if (length >= 0) {
            struct iovec data = {content, length};
            put('T', inode, 0, "", "", NULL, 0);
            put('W', inode, 0, "", "", &data, 1);
        }
        free(content);
    }
    syscall(SYS_close, again);
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    ssize_t written = real(fd, data, size);
    struct iovec part = {(void *)data, size};
    wrote(fd, written, &part, 1, -1);
    return written;
}

ssize_t writev(int fd, const struct iovec *data, int count) {
    REAL(writev);
    ssize_t written = real(fd, data, count);
    wrote(fd, written, data, count, -1);
    return written;
}

#define PWRITE(name, type) \
    ssize_t name(int fd, const void *data, size_t size, type offset) { \
        REAL(name); \
        ssize_t written = real(fd, data, size, offset); \
        struct iovec part = {(void *)data, size}; \
        wrote(fd, written, &part, 1, offset); \
        return written; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PWRITEV(name, type) \
    ssize_t name(int fd, const struct iovec *data, int count, type offset) { \
        REAL(name); \
        ssize_t written = real(fd, data, count, offset); \
        wrote(fd, written, data, count, offset); \
        return written; \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

#define TRUNCATE(name, type) \
    int name(int fd, type length) { \
        REAL(name); \
        int result = real(fd, length); \
        cut(fd, result, length); \
        return result; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define TRUNCATE_PATH(name, type) \
    int name(const char *path, type length) { \
        REAL(name); \
        int result = real(path, length); \
        struct stat found; \
        char full[PATH_MAX]; \
        if (!result && absolute(AT_FDCWD, path, full) && !stat(path, &found)) put('T', found.st_ino, length, "", "", NULL, 0); \
        return result; \
    }
TRUNCATE_PATH(truncate, off_t)
TRUNCATE_PATH(truncate64, off64_t)

#define COPY(name, parameters, arguments, out) \
    ssize_t name parameters { \
        REAL(name); \
        ssize_t copied_bytes = real arguments; \
        uint64_t inode; \
        if (copied_bytes > 0 && (inode = tracked(out))) copied(out, inode); \
        return copied_bytes; \
    }
COPY(sendfile, (int out, int in, off_t *offset, size_t count), (out, in, offset, count), out)
COPY(sendfile64, (int out, int in, off64_t *offset, size_t count), (out, in, offset, count), out)
COPY(copy_file_range, (int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags), (in, from, out, to, count, flags), out)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int fd = real(path, flags, mode); \
        opened(fd, AT_FDCWD, path, flags); \
        return fd; \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int fd = real(folder, path, flags, mode); \
        opened(fd, folder, path, flags); \
        return fd; \
    }
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

#define MKSTEMP(name, parameters, arguments) \
    int name parameters { \
        REAL(name); \
        int fd = real arguments; \
        opened(fd, AT_FDCWD, template, O_CREAT); \
        return fd; \
    }
MKSTEMP(mkstemp, (char *template), (template))
MKSTEMP(mkstemp64, (char *template), (template))
MKSTEMP(mkostemp, (char *template, int flags), (template, flags))
MKSTEMP(mkostemp64, (char *template, int flags), (template, flags))
MKSTEMP(mkstemps, (char *template, int suffix), (template, suffix))
MKSTEMP(mkstemps64, (char *template, int suffix), (template, suffix))

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        FILE *file = real(path, mode); \
        int flags = (mode[0] == 'r' ? 0 : O_CREAT) | (mode[0] == 'w' ? O_TRUNC : 0); \
        if (file) opened(fileno(file), AT_FDCWD, path, flags); \
        return file; \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* The files that stdio has flushed and that were not copied since: Chroma flushes after every vector, and a file counts when it is synced
 * or closed. */
static uint64_t flushed[256];

static int is_flushed(uint64_t inode, uint64_t instead) {
    for (int i = 0; i < 256; i++)
        if (__sync_bool_compare_and_swap(&flushed[i], inode, instead)) return 1;
    return 0;
}

static uint64_t written_by(FILE *file) {
    uint64_t inode = file ? tracked(fileno(file)) : 0;
    return inode && (fcntl(fileno(file), F_GETFL) & O_ACCMODE) != O_RDONLY ? inode : 0;
}

int fflush(FILE *file) {
    REAL(fflush);
    int result = real(file);
    uint64_t inode = written_by(file);
    if (inode && !is_flushed(inode, inode)) is_flushed(0, inode);
    return result;
}

int fclose(FILE *file) {
    REAL(fclose);
    uint64_t inode = written_by(file);
    if (inode) {
        fflush(file);
        is_flushed(inode, 0);
        copied(fileno(file), inode);
    }
    return real(file);
}

/* What is written while a file is being synced may not be: its beginning is recorded too. */
static uint32_t syncs;
#define FSYNC(name) \
    int name(int fd) { \
        REAL(name); \
        uint64_t inode = tracked(fd), number = (uint64_t)getpid() << 32 | __sync_add_and_fetch(&syncs, 1); \
        if (inode && is_flushed(inode, 0)) copied(fd, inode); \
        if (inode) put('f', inode, number, "", "", NULL, 0); \
        int result = real(fd); \
        if (!result && inode) put('F', inode, number, "", "", NULL, 0); \
        return result; \
    }
FSYNC(fsync)
FSYNC(fdatasync)

int rename(const char *path, const char *other) { return renameat(AT_FDCWD, path, AT_FDCWD, other); }

static int renamed(int result, int folder, const char *path, int other_folder, const char *other) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!result && absolute(folder, path, from) | absolute(other_folder, other, to)) put_names('R', 0, from, to);
    return result;
}

int renameat(int folder, const char *path, int other_folder, const char *other) {
    REAL(renameat);
    return renamed(real(folder, path, other_folder, other), folder, path, other_folder, other);
}

int renameat2(int folder, const char *path, int other_folder, const char *other, unsigned flags) {
    REAL(renameat2);
    return renamed(real(folder, path, other_folder, other, flags), folder, path, other_folder, other);
}

int linkat(int folder, const char *path, int other_folder, const char *other, int flags) {
    REAL(linkat);
    int result = real(folder, path, other_folder, other, flags);
    char from[PATH_MAX], to[PATH_MAX];
    struct stat found;
    if (!result && absolute(folder, path, from) && absolute(other_folder, other, to) && !lstat(to, &found))
        put_names('C', found.st_ino, to, "");
    return result;
}

int link(const char *path, const char *other) { return linkat(AT_FDCWD, path, AT_FDCWD, other, 0); }

int symlinkat(const char *target, int folder, const char *path) {
    REAL(symlinkat);
    int result = real(target, folder, path);
    char full[PATH_MAX];
    if (!result && absolute(folder, path, full)) put_names('S', 0, full, target);
    return result;
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    int result = real(folder, path, flags);
    char full[PATH_MAX];
    if (!result && absolute(folder, path, full)) put_names('U', 0, full, "");
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
    int result = unlink(path);
    return result && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(mkdirat);
    int result = real(folder, path, mode);
    char full[PATH_MAX];
    struct stat found;
    if (!result && absolute(folder, path, full) && !lstat(full, &found)) put_names('D', found.st_ino, full, "");
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
