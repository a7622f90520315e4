/* A whole segment at a time, without the interpreter's lock: the root over its records, and its
 * record lines read in one pass. Hashing is OpenSSL's, nothing here is secret.
 *
 * `read_lines` judges nothing by itself: a line that does not match the template, or whose hash
 * does not fit, is handed back as it is, and `parse_record` has the word. The template is made in
 * `verify/record.py`, from the table its pattern is made of: a row of steps, each a kind, the
 * length of a literal, the literal. A line matches when each literal stands where it must and a
 * value of the kind follows, to the last byte.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <openssl/evp.h>
#include <string.h>

#define HASH 32
#define WHO 16 /* bytes of the hash over tenant and message id */
#define MOST_STEPS 64
#define FIELDS 7 /* of `Facts` */

typedef struct {
    const char *at;
    Py_ssize_t len; /* -1: null */
} Span;

typedef struct {
    char kind;
    unsigned char len;
    const char *literal;
} Step;

typedef struct {
    Span line, status, source, supersedes, ingested;
    long long revision;
    unsigned char integrity[HASH], who[WHO];
    char fits;
} Found;

static EVP_MD *sha256_md;

/* Which bytes a class of text takes: 1 text, 2 base64url, 4 its last digit (two spare bits zero),
 * 8 lower-case hex, 16 decimal. */
static unsigned char classes[256];

static void classify(void) {
    const char *last = "AEIMQUYcgkosw048";
    for (int c = 0x20; c < 0x7f; c++)
        if (c != '"' && c != '\\') classes[c] |= 1;
    for (int c = 'a'; c <= 'z'; c++) classes[c] |= 2, classes[c - 'a' + 'A'] |= 2;
    for (int c = '0'; c <= '9'; c++) classes[c] |= 2 | 8 | 16;
    for (int c = 'a'; c <= 'f'; c++) classes[c] |= 8;
    classes['-'] |= 2, classes['_'] |= 2;
    while (*last) classes[(unsigned char)*last++] |= 4;
}

static Py_ssize_t run(const char *at, const char *end, int of) {
    const char *start = at;
    while (at < end && classes[(unsigned char)*at] & of) at++;
    return at - start;
}

/* "…" with printable ASCII in it: its bytes without the quotes, or NULL. */
static const char *text(const char *at, const char *end, Span *out) {
    if (at == end || *at != '"') return NULL;
    out->at = at + 1;
    out->len = run(at + 1, end, 1);
    at += 1 + out->len;
    return at < end && *at == '"' ? at + 1 : NULL;
}

static const char *maybe(const char *at, const char *end, Span *out) {
    if (end - at < 4 || memcmp(at, "null", 4)) return text(at, end, out);
    out->len = -1;
    return at + 4;
}

/* Base64url of exactly `most` digits between quotes; `spare`: its last digit has spare bits. */
static const char *base64(const char *at, const char *end, Span *out) {
    if (at == end || *at != '"') return NULL;
    out->at = at + 1;
    out->len = run(at + 1, end, 2);
    at += 1 + out->len;
    return at < end && *at == '"' ? at + 1 : NULL;
}

static int spare_zero(Span digits) {
    return classes[(unsigned char)digits.at[digits.len - 1]] & 4;
}

static int is_time(Span given) { /* dddd-dd-ddTdd:dd:dd.dddZ */
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (given.len != (Py_ssize_t)sizeof form - 1) return 0;
    for (int i = 0; i < (int)sizeof form - 1; i++)
        if (form[i] == 'd' ? !(classes[(unsigned char)given.at[i]] & 16) : form[i] != given.at[i])
            return 0;
    return 1;
}

static const char *revision(const char *at, const char *end, long long *out) {
    Py_ssize_t digits = run(at, end, 16);
    if (digits < 1 || digits > 15 || *at == '0') return NULL;
    *out = 0;
    for (const char *stop = at + digits; at < stop; at++) *out = *out * 10 + (*at - '0');
    return at;
}

static int hash(EVP_MD_CTX *ctx, Span one, Span two, unsigned char *out) {
    return EVP_DigestInit_ex2(ctx, sha256_md, NULL) && EVP_DigestUpdate(ctx, one.at, one.len) &&
           EVP_DigestUpdate(ctx, two.at, two.len) && EVP_DigestFinal_ex(ctx, out, NULL);
}

static int same_hex(const char *hex, const unsigned char *raw) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < HASH; i++)
        if (hex[2 * i] != digits[raw[i] >> 4] || hex[2 * i + 1] != digits[raw[i] & 15]) return 0;
    return 1;
}

/* Whether the line matches and its hash fits; -1 when OpenSSL fails. */
static int read_line(EVP_MD_CTX *ctx, const Step *steps, int count, Found *found) {
    const char *at = found->line.at, *end = at + found->line.len, *hex = NULL;
    Span pub = {NULL, 0}, one = {NULL, 0}, two = {NULL, 0}, tenant = {NULL, 0}, message = {NULL, 0}, other;
    unsigned char who[HASH];
    for (int i = 0; i < count; i++) {
        if (end - at < steps[i].len || memcmp(at, steps[i].literal, steps[i].len)) return 0;
        at += steps[i].len;
        switch (steps[i].kind) {
        case '=': break;                     /* the literal alone */
        case '[': pub.at = at; break;        /* what is hashed begins here */
        case ']': pub.len = at - pub.at; break;
        case 't': at = text(at, end, &other); break;
        case 'm': at = maybe(at, end, &other); break;
        case 'T': at = text(at, end, &tenant); break;
        case 'M': at = text(at, end, &message); break;
        case 's': at = text(at, end, &found->status); break;
        case 'S': at = text(at, end, &found->source); break;
        case 'P': at = maybe(at, end, &found->supersedes); break;
        case 'r': at = revision(at, end, &found->revision); break;
        case 'i':
            at = text(at, end, &found->ingested);
            if (at && !is_time(found->ingested)) return 0;
            break;
        case 'x':
            if (run(at, end, 8) != 2 * HASH) return 0;
            hex = at;
            at += 2 * HASH;
            break;
        case 'd':
            at = base64(at, end, &one);
            if (at && (one.len != 43 || !spare_zero(one))) return 0;
            break;
        case 'e':
            at = base64(at, end, &two);
            if (at && (two.len != 43 || !spare_zero(two) || memcmp(one.at, two.at, 43) > 0))
                return 0;
            break;
        case 'p': /* one block and a tag, or two */
            at = base64(at, end, &other);
            if (at && other.len != 192 && (other.len != 107 || !spare_zero(other))) return 0;
            break;
        default: return 0;
        }
        if (at == NULL) return 0;
    }
    if (at != end || !hex || !pub.at || !tenant.at || !message.at) return 0;
    tenant.at--, tenant.len += 2; /* with their quotes, which keep two pairs apart that have the */
    message.at--, message.len += 2; /* same letters in a row */
    other.at = "", other.len = 0;
    if (!hash(ctx, pub, other, found->integrity) || !hash(ctx, tenant, message, who)) return -1;
    memcpy(found->who, who, WHO);
    return same_hex(hex, found->integrity);
}

static int parse_template(const char *given, Py_ssize_t len, Step *steps) {
    int count = 0;
    for (const char *end = given + len; given < end; count++) {
        if (count == MOST_STEPS || end - given < 2 ||
            end - given - 2 < (unsigned char)given[1]) {
            PyErr_SetString(PyExc_ValueError, "the template is none");
            return -1;
        }
        steps[count] = (Step){given[0], (unsigned char)given[1], given + 2};
        given += 2 + steps[count].len;
    }
    return count;
}

static Py_ssize_t split(const char *body, Py_ssize_t len, Found *found) {
    Py_ssize_t count = 0;
    const char *at = body, *end = body + len, *stop;
    for (; at < end && (stop = memchr(at, '\n', end - at)); at = stop + 1, count++)
        if (found) found[count].line = (Span){at, stop - at};
    return count;
}

static PyObject *span_object(Span given) {
    if (given.len < 0) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize(given.at, given.len);
}

/* A `Facts` (a tuple of a class of its own), or the line when the status has no rank. */
static PyObject *facts(const Found *found, PyTypeObject *type, allocfunc alloc, PyObject *ranks) {
    PyObject *key = span_object(found->status);
    if (key == NULL) return NULL;
    PyObject *rank = PyDict_GetItemWithError(ranks, key);
    Py_DECREF(key);
    if (rank == NULL) return PyErr_Occurred() ? NULL : span_object(found->line);
    PyObject *out = alloc(type, FIELDS);
    if (out == NULL) return NULL;
    Py_INCREF(rank);
    PyObject *items[FIELDS] = {
        PyBytes_FromStringAndSize((const char *)found->integrity, HASH),
        PyBytes_FromStringAndSize((const char *)found->who, WHO), rank,
        PyLong_FromLongLong(found->revision), span_object(found->source),
        span_object(found->supersedes), span_object(found->ingested),
    };
    for (int i = 0; i < FIELDS; i++) PyTuple_SetItem(out, i, items[i]);
    if (PyErr_Occurred()) {
        Py_DECREF(out);
        return NULL;
    }
    return out;
}

static PyObject *listed(const Found *found, Py_ssize_t count, PyObject *type, PyObject *ranks) {
    allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    PyObject *out = PyList_New(count);
    for (Py_ssize_t i = 0; out && i < count; i++) {
        PyObject *item = found[i].fits ? facts(found + i, (PyTypeObject *)type, alloc, ranks)
                                       : span_object(found[i].line);
        if (item == NULL) Py_CLEAR(out);
        else PyList_SetItem(out, i, item);
    }
    return out;
}

static PyObject *read_lines(PyObject *self, PyObject *args) {
    const char *body, *given;
    Py_ssize_t body_len, given_len, count;
    PyObject *type, *ranks, *out = NULL;
    Step steps[MOST_STEPS];
    (void)self;
    if (!PyArg_ParseTuple(args, "y#y#OO!", &body, &body_len, &given, &given_len, &type,
                          &PyDict_Type, &ranks))
        return NULL;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "the facts' type is no tuple's");
        return NULL;
    }
    int size = parse_template(given, given_len, steps), good = 1;
    if (size < 0) return NULL;
    count = split(body, body_len, NULL);
    Found *found = PyMem_Calloc(count ? count : 1, sizeof *found);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (found == NULL || ctx == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    split(body, body_len, found);
    for (Py_ssize_t i = 0; good && i < count; i++) {
        int fits = read_line(ctx, steps, size, found + i);
        good = fits >= 0;
        found[i].fits = fits > 0;
    }
    Py_END_ALLOW_THREADS
    if (good) out = listed(found, count, type, ranks);
    else PyErr_SetString(PyExc_RuntimeError, "OpenSSL refused a hash");
done:
    EVP_MD_CTX_free(ctx);
    PyMem_Free(found);
    return out;
}

/* RFC 9162 section 2.1 over leaves SHA-256(00 || item); `level` is overwritten. */
static int tree_root(EVP_MD_CTX *ctx, unsigned char *level, Py_ssize_t count, unsigned char *out) {
    static const Span leaf = {"\0", 1}, node = {"\1", 1};
    int good = 1;
    for (Py_ssize_t i = 0; good && i < count; i++)
        good = hash(ctx, leaf, (Span){(char *)level + i * HASH, HASH}, level + i * HASH);
    for (; good && count > 1; count = (count + 1) / 2) {
        for (Py_ssize_t i = 0; good && i < count / 2; i++)
            good = hash(ctx, node, (Span){(char *)level + 2 * i * HASH, 2 * HASH},
                        level + i * HASH);
        if (count & 1) memmove(level + count / 2 * HASH, level + (count - 1) * HASH, HASH);
    }
    memcpy(out, level, HASH);
    return good;
}

static PyObject *record_root(PyObject *self, PyObject *args) {
    const char *items;
    Py_ssize_t len;
    unsigned char root[HASH];
    int good = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#", &items, &len)) return NULL;
    if (len == 0 || len % HASH) {
        PyErr_SetString(PyExc_ValueError, "must have some hashes of 32 bytes");
        return NULL;
    }
    unsigned char *level = PyMem_Malloc(len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (level && ctx) {
        Py_BEGIN_ALLOW_THREADS
        memcpy(level, items, len);
        good = tree_root(ctx, level, len / HASH, root);
        Py_END_ALLOW_THREADS
    }
    EVP_MD_CTX_free(ctx);
    PyMem_Free(level);
    if (good) return PyBytes_FromStringAndSize((char *)root, HASH);
    PyErr_SetString(PyExc_RuntimeError, "OpenSSL refused a hash");
    return NULL;
}

static PyMethodDef methods[] = {
    {"record_root", record_root, METH_VARARGS, "record_root(integrity hashes, joined) -> root"},
    {"read_lines", read_lines, METH_VARARGS, "read_lines(body, template, facts, ranks) -> list"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Whole segments without the interpreter.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) {
    classify();
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256_md) {
        PyErr_SetString(PyExc_ImportError, "libcrypto lacks SHA-256");
        return NULL;
    }
    return PyModule_Create(&module);
}
