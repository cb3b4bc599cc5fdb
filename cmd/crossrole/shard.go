package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// shard is one of so many parts of a bucket's keys.
type shard struct{ index, count int }

// Kubernetes sets the first in the pods of an Indexed Job. It does not tell them
// how many they are; the manifest has to.
const (
	jobIndex = "JOB_COMPLETION_INDEX"
	jobCount = "JOB_COMPLETION_COUNT"
)

// parseShard reads "i/n", or the environment if it is empty.
func parseShard(flag string, getenv func(string) string) (shard, error) {
	name, text := "--shard", flag
	if flag == "" {
		index, count := getenv(jobIndex), getenv(jobCount)
		switch {
		case index == "" && count == "":
			return shard{0, 1}, nil
		case index == "":
			return shard{}, usagef("%s is set and %s is not: the pods of an Indexed Job have both, or give --shard", jobCount, jobIndex)
		case count == "":
			return shard{}, usagef("this is pod %s of an Indexed Job, and %s does not say of how many: set it to the job's completions, or give --shard 0/1 to copy everything", index, jobCount)
		}
		name, text = jobIndex+"/"+jobCount, index+"/"+count
	}
	i, n, ok := strings.Cut(text, "/")
	index, err1 := strconv.Atoi(i)
	count, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || index < 0 || index >= count {
		return shard{}, usagef("%s %q; want I/N with I from 0 to N-1, such as 0/4", name, text)
	}
	return shard{index, count}, nil
}

// has reports whether a key belongs to the shard: the first 8 bytes of its
// SHA-256, as a big-endian number, modulo the count, are the index. Any program
// in any language divides keys the same way.
func (s shard) has(key string) bool {
	sum := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(sum[:8])%uint64(s.count) == uint64(s.index)
}

func (s shard) String() string { return fmt.Sprintf("%d/%d", s.index, s.count) }
