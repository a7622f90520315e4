/* The hot primitives of sealing in C: the same functions, with the same answers, as `plain.py`,
 * which is used where this module was not built. `seal` stands in `_sealing.c`.
 *
 * `walk` and `hmac_sha512` hold the interpreter lock (their context is shared) and take some
 * microseconds.
 */

#include "_libcrypto.h"

EVP_MD *sha256_md, *sha512_md;
EVP_CIPHER *aes_gcm;
static EVP_MD_CTX *digest_ctx;

static PyObject *walk(PyObject *self, PyObject *args) {
    const char *node;
    Py_ssize_t node_len;
    unsigned long long path;
    int depth, bottom;
    unsigned char message[44];
    if (!PyArg_ParseTuple(args, "y#Kii", &node, &node_len, &path, &depth, &bottom)) return NULL;
    if (!sized(node_len, KEY, "node")) return NULL;
    if (depth < 0 || bottom > 28 || depth > bottom) {
        PyErr_SetString(PyExc_ValueError, "depths must be 0 <= depth <= bottom <= 28");
        return NULL;
    }
    memcpy(message, "\x00\x00\x00\x01", 4);
    memcpy(message + 4, node, KEY);
    memcpy(message + 37, "as-ggm1", 7);
    for (; depth < bottom; depth++) {
        message[36] = (path >> (2 * (27 - depth))) & 3;
        if (!hash2(digest_ctx, sha256_md, message, sizeof message, "", 0, message + 4))
            return refused();
    }
    PyObject *out = PyBytes_FromStringAndSize((char *)message + 4, KEY);
    OPENSSL_cleanse(message, sizeof message);
    return out;
}

static PyObject *hmac_sha512(PyObject *self, PyObject *args) {
    const char *key, *data;
    Py_ssize_t key_len, data_len;
    unsigned char mac[64];
    if (!PyArg_ParseTuple(args, "y#y#", &key, &key_len, &data, &data_len)) return NULL;
    if (!sized(key_len, KEY, "key")) return NULL;
    if (!hmac(digest_ctx, sha512_md, 128, 64, (const unsigned char *)key, data, data_len, mac))
        return refused();
    PyObject *out = PyBytes_FromStringAndSize((char *)mac, sizeof mac);
    OPENSSL_cleanse(mac, sizeof mac);
    return out;
}

static PyMethodDef methods[] = {
    {"walk", walk, METH_VARARGS, "walk(node, path, depth, bottom) -> node"},
    {"hmac_sha512", hmac_sha512, METH_VARARGS, "hmac_sha512(key, data) -> 64 bytes"},
    {"seal", seal, METH_VARARGS, "seal(rises, partition, source, tag) -> (lines, hashes)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Sealing's primitives over libcrypto.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) {
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha512_md = EVP_MD_fetch(NULL, "SHA512", NULL);
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    digest_ctx = EVP_MD_CTX_new();
    if (!sha256_md || !sha512_md || !aes_gcm || !digest_ctx) {
        PyErr_SetString(PyExc_ImportError, "libcrypto lacks SHA-256, SHA-512 or AES-256-GCM");
        return NULL;
    }
    return PyModule_Create(&module);
}
