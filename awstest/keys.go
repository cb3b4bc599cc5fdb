package awstest

import (
	"crypto/rand"
	"crypto/rsa"
	"sync"
)

// keyPool holds the process's RSA keys. Making one takes a tenth of a second,
// so clouds share them: the nth key of a cloud is the nth of the pool. Within
// one cloud no two clusters have the same key, and a token of another cloud is
// still unknown here, because every cluster has a key id of its own.
var keyPool struct {
	mu   sync.Mutex
	keys []func() *rsa.PrivateKey
}

// signingKey is the pool's nth key, made when it is first used.
func signingKey(n int) func() *rsa.PrivateKey {
	keyPool.mu.Lock()
	defer keyPool.mu.Unlock()
	for len(keyPool.keys) <= n {
		keyPool.keys = append(keyPool.keys, sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic("awstest: RSA key: " + err.Error()) // only without randomness
			}
			return key
		}))
	}
	return keyPool.keys[n]
}
