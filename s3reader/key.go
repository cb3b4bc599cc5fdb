package s3reader

import "fmt"

// maxKey is the length of the longest key, in bytes (S3 User Guide, "Naming
// Amazon S3 objects").
const maxKey = 1024

func checkKey(key string) error {
	switch {
	case key == "":
		return &Error{Kind: BadKey, Err: fmt.Errorf("the key is empty: give the key of an object")}
	case len(key) > maxKey:
		return &Error{Kind: BadKey, Err: fmt.Errorf("the key has %d bytes, S3 allows %d", len(key), maxKey)}
	}
	return nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > maxKey {
		return &Error{Kind: BadKey, Err: fmt.Errorf("the prefix has %d bytes, S3 allows %d for a key", len(prefix), maxKey)}
	}
	return nil
}
