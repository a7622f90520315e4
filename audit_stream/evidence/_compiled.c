/* The Merkle root over a segment's records, as `record_root.plain_root` has it in Python, which is
 * used where this module was not built. RFC 9162 section 2.1: a leaf is SHA-256(00 || data), a node
 * SHA-256(01 || left || right). The hashing is libcrypto's, without the interpreter's lock.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define HASH 32

static EVP_MD *sha256_md; /* fetched once; any thread may use it */

static int hashed(EVP_MD_CTX *ctx, unsigned char prefix, const unsigned char *data, size_t len,
                  unsigned char *out) {
    unsigned char message[1 + 2 * HASH];
    message[0] = prefix;
    memcpy(message + 1, data, len);
    return EVP_DigestInit_ex2(ctx, sha256_md, NULL) && EVP_DigestUpdate(ctx, message, len + 1) &&
           EVP_DigestFinal_ex(ctx, out, NULL);
}

/* Turns `count` hashes, at least one, into leaves and then level by level into the root, which
 * comes to stand first. Pairing neighbours and lifting a lone last node is what the RFC's split at
 * the largest power of two gives. */
static int to_root(EVP_MD_CTX *ctx, unsigned char *level, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!hashed(ctx, 0, level + i * HASH, HASH, level + i * HASH)) return 0;
    for (; count > 1; count = (count + 1) / 2) {
        for (size_t i = 0; i + 1 < count; i += 2)
            if (!hashed(ctx, 1, level + i * HASH, 2 * HASH, level + i / 2 * HASH)) return 0;
        if (count & 1) memmove(level + count / 2 * HASH, level + (count - 1) * HASH, HASH);
    }
    return 1;
}

static int take(PyObject *hashes, Py_ssize_t count, unsigned char *level) {
    for (Py_ssize_t i = 0; i < count; i++) {
        char *at;
        Py_ssize_t len;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(hashes, i), &at, &len) < 0) return 0;
        if (len != HASH) {
            PyErr_Format(PyExc_ValueError, "hash %zd has %zd bytes, not %d", i, len, HASH);
            return 0;
        }
        memcpy(level + i * HASH, at, HASH);
    }
    return 1;
}

static PyObject *record_root(PyObject *self, PyObject *given) {
    PyObject *hashes = PySequence_Tuple(given), *made = NULL;
    if (hashes == NULL) return NULL;
    Py_ssize_t count = PyTuple_Size(hashes);
    unsigned char *level = malloc((size_t)count * HASH + HASH);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (level == NULL || ctx == NULL) {
        PyErr_NoMemory();
    } else if (take(hashes, count, level)) {
        int good;
        Py_BEGIN_ALLOW_THREADS
        good = count ? to_root(ctx, level, (size_t)count)
                     : EVP_Digest("", 0, level, NULL, sha256_md, NULL); /* of an empty tree */
        Py_END_ALLOW_THREADS
        if (good) made = PyBytes_FromStringAndSize((char *)level, HASH);
        else PyErr_SetString(PyExc_RuntimeError, "OpenSSL refused a hash");
    }
    free(level);
    EVP_MD_CTX_free(ctx);
    Py_DECREF(hashes);
    return made;
}

static PyMethodDef methods[] = {
    {"record_root", record_root, METH_O, "record_root(hashes) -> 32 bytes"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Merkle roots over libcrypto.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) {
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256_md == NULL) {
        PyErr_SetString(PyExc_ImportError, "libcrypto lacks SHA-256");
        return NULL;
    }
    return PyModule_Create(&module);
}
