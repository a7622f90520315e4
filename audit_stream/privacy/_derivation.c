/* `Derivation`: from a person to their keys, as `derivation.py` writes it down (formats.md, section
 * 5). Its methods hold the interpreter lock, for the nodes it keeps and its context are shared, and
 * take some microseconds. What held keys or personal data is zeroed before it is let go.
 */

#include "_libcrypto.h"
#include "_writing.h"

#define TAG 16
#define STREAM 16
#define PREFIX 7
#define ENTRY (1 + PREFIX + KEY) /* of a cover: depth || prefix || node */
#define KEPT_DEPTH 8
#define KEPT (1L << (2 * KEPT_DEPTH)) /* nodes kept: 2 MB at most, and 8 of 28 hashes saved */
#define MOST_TEXT (1 << 20)           /* bytes; far beyond what flattening lets through */
#define TAG_LABEL "as/tag/v1"         /* both with their final zero byte */
#define SUBJECT_LABEL "as/subject/v1"
#define MOST_YEAR_KEY 64

typedef struct {
    PyObject_HEAD
    unsigned char pepper[KEY], stream[STREAM];
    Py_buffer cover; /* its `obj` is NULL where there is none, or none any more */
    Py_ssize_t entries;
    unsigned char (*nodes)[KEY], *known; /* at `KEPT_DEPTH`, and which of them are there */
    EVP_MD_CTX *md;
} Derivation;

/* -- the key tree */

static unsigned long long prefix_of(const unsigned char *at) {
    unsigned long long number = 0;
    for (int i = 0; i < PREFIX; i++) number = number << 8 | at[i];
    return number;
}

/* The covering entry of a path, or NULL. Entries cover disjoint ranges in the order of their
 * prefixes, so only the last one that begins at or before the path can cover it. */
static const unsigned char *covering(const Derivation *self, unsigned long long path) {
    const unsigned char *cover = self->cover.buf;
    Py_ssize_t low = 0, high = self->entries;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (prefix_of(cover + middle * ENTRY + 1) <= path)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    const unsigned char *entry = cover + (low - 1) * ENTRY;
    if (entry[0] > TREE_DEPTH) return NULL;
    int spare = 2 * (TREE_DEPTH - entry[0]);
    return path >> spare == prefix_of(entry + 1) >> spare ? entry : NULL;
}

/* The leaf key of a path: 1, 0 when the subject was erased, -1 when OpenSSL refused. */
static int leaf(Derivation *self, unsigned long long path, unsigned char *node) {
    size_t place = (size_t)(path >> (2 * (TREE_DEPTH - KEPT_DEPTH)));
    int depth = KEPT_DEPTH;
    if (self->known[place]) {
        memcpy(node, self->nodes[place], KEY);
    } else {
        const unsigned char *entry = covering(self, path);
        if (entry == NULL) return 0;
        memcpy(node, entry + 1 + PREFIX, KEY);
        depth = entry[0];
        if (depth <= KEPT_DEPTH) { /* all below is covered, so everybody's there begin with it */
            if (!descend(self->md, node, path, depth, KEPT_DEPTH)) return -1;
            memcpy(self->nodes[place], node, KEY);
            self->known[place] = 1;
            depth = KEPT_DEPTH;
        }
    }
    return descend(self->md, node, path, depth, TREE_DEPTH) ? 1 : -1;
}

/* -- methods */

static int stands(const Derivation *self) {
    if (self->cover.obj != NULL) return 1;
    PyErr_SetString(PyExc_ValueError, "its keys were wiped");
    return 0;
}

/* A member of a subject as canonical JSON; NULL with an exception. */
static char *member(char *at, PyObject *from) {
    if (PyLong_Check(from)) {
        unsigned long long number = PyLong_AsUnsignedLongLong(from);
        return PyErr_Occurred() ? NULL : decimal(at, number);
    }
    Py_ssize_t len;
    Text text = {PyUnicode_AsUTF8AndSize(from, &len), 0};
    if (text.at == NULL) return NULL;
    text.len = (size_t)len;
    return json(at, text);
}

/* Bytes of JSON that a subject takes at most; 0 with an exception. */
static size_t room_of(PyObject *subject) {
    size_t room = sizeof TAG_LABEL + 2;
    for (Py_ssize_t i = 0; i < PyTuple_Size(subject); i++) {
        PyObject *each = PyTuple_GetItem(subject, i);
        Py_ssize_t len = 0;
        if (!PyLong_Check(each) && PyUnicode_AsUTF8AndSize(each, &len) == NULL) return 0;
        if (len > MOST_TEXT) {
            PyErr_Format(PyExc_ValueError, "a subject's text is longer than %d bytes", MOST_TEXT);
            return 0;
        }
        room += 6 * (size_t)len + 24;
    }
    return room;
}

static PyObject *tag(Derivation *self, PyObject *subject) {
    unsigned char hashed[SHA256];
    if (!stands(self)) return NULL;
    if (!PyTuple_Check(subject)) {
        PyErr_SetString(PyExc_TypeError, "a subject is a tuple");
        return NULL;
    }
    size_t room = room_of(subject);
    if (room == 0) return NULL;
    char *text = malloc(room);
    if (text == NULL) return PyErr_NoMemory();
    char *at = put(text, TAG_LABEL, sizeof TAG_LABEL);
    for (Py_ssize_t i = 0; at != NULL && i < PyTuple_Size(subject); i++) {
        *at++ = i ? ',' : '[';
        at = member(at, PyTuple_GetItem(subject, i));
    }
    int good = 0;
    if (at != NULL) {
        *at++ = ']';
        size_t len = (size_t)(at - text);
        good = hmac(self->md, sha256_md, 64, SHA256, self->pepper, text, len, hashed);
        if (!good) refused();
    }
    OPENSSL_cleanse(text, room);
    free(text);
    return good ? PyBytes_FromStringAndSize((char *)hashed, TAG) : NULL;
}

static PyObject *keys(Derivation *self, PyObject *args) {
    const char *tag, *year_key;
    Py_ssize_t tag_len, year_len;
    unsigned char node[KEY], both[2 * KEY];
    unsigned char data[sizeof SUBJECT_LABEL + STREAM + TAG + MOST_YEAR_KEY];
    if (!stands(self) || !PyArg_ParseTuple(args, "y#y#", &tag, &tag_len, &year_key, &year_len))
        return NULL;
    if (!sized(tag_len, TAG, "tag")) return NULL;
    if (year_len && !sized(year_len, KEY, "year key")) return NULL;
    int found = leaf(self, prefix_of((const unsigned char *)tag), node);
    if (found == 0) Py_RETURN_NONE;
    char *at = put((char *)data, SUBJECT_LABEL, sizeof SUBJECT_LABEL);
    at = put(put(at, self->stream, STREAM), tag, TAG);
    at = put(at, year_key, (size_t)year_len);
    size_t len = (size_t)(at - (char *)data);
    int good = found == 1 && hmac(self->md, sha512_md, 128, sizeof both, node, data, len, both);
    PyObject *made = NULL;
    if (good)
        made = Py_BuildValue("(y#y#)", both, (Py_ssize_t)KEY, both + KEY, (Py_ssize_t)KEY);
    else
        refused();
    OPENSSL_cleanse(node, sizeof node);
    OPENSSL_cleanse(both, sizeof both);
    OPENSSL_cleanse(data, sizeof data);
    return made;
}

static void forget(Derivation *self) {
    OPENSSL_cleanse(self->pepper, sizeof self->pepper);
    if (self->nodes != NULL && self->known != NULL)
        for (long i = 0; i < KEPT; i++)
            if (self->known[i]) OPENSSL_cleanse(self->nodes[i], KEY);
    free(self->nodes);
    free(self->known);
    self->nodes = NULL;
    self->known = NULL;
    PyBuffer_Release(&self->cover);
}

static PyObject *wipe(Derivation *self, PyObject *Py_UNUSED(none)) {
    forget(self);
    Py_RETURN_NONE;
}

/* -- the type */

static int init(Derivation *self, PyObject *args, PyObject *Py_UNUSED(named)) {
    const char *pepper, *stream;
    Py_ssize_t pepper_len, stream_len;
    PyObject *cover;
    if (self->cover.obj != NULL || self->md != NULL) {
        PyErr_SetString(PyExc_TypeError, "it is made already");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "y#Oy#", &pepper, &pepper_len, &cover, &stream, &stream_len) ||
        !sized(pepper_len, KEY, "pepper") || !sized(stream_len, STREAM, "stream"))
        return -1;
    if (PyObject_GetBuffer(cover, &self->cover, PyBUF_SIMPLE) < 0) return -1;
    self->entries = self->cover.len / ENTRY;
    if (self->entries == 0 || self->cover.len % ENTRY) {
        PyErr_Format(PyExc_ValueError, "a cover's length is a multiple of %d", ENTRY);
        return -1;
    }
    memcpy(self->pepper, pepper, KEY);
    memcpy(self->stream, stream, STREAM);
    self->nodes = calloc((size_t)KEPT, sizeof *self->nodes);
    self->known = calloc((size_t)KEPT, 1);
    self->md = EVP_MD_CTX_new();
    if (self->nodes != NULL && self->known != NULL && self->md != NULL) return 0;
    PyErr_NoMemory();
    return -1;
}

static void dealloc(Derivation *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    forget(self);
    EVP_MD_CTX_free(self->md);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"tag", (PyCFunction)tag, METH_O, "tag(subject) -> 16 bytes"},
    {"keys", (PyCFunction)keys, METH_VARARGS, "keys(tag, year_key) -> (K_enc, K_mac) | None"},
    {"wipe", (PyCFunction)wipe, METH_NOARGS, "wipe() -> None"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, init},       {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},       {Py_tp_doc, "Keys of persons."}, {0, NULL},
};

PyType_Spec derivation_spec = {
    "audit_stream.privacy._compiled.Derivation", sizeof(Derivation), 0, Py_TPFLAGS_DEFAULT, slots,
};
