package trust

import "strings"

// AssumePolicy writes the identity policy of a hub role: it may assume the
// target roles, whose trust policies must admit it as well (see [RolePolicy]).
// Without targets it allows nothing, and AWS refuses the policy.
//
// A target with * or ? is a pattern, such as arn:aws:iam::*:role/audit for a role
// that every account has. It must still be the ARN of something of one partition
// and service: "*" alone is refused. Policy variables are escaped. Apart from
// that the ARNs are not checked: [Policy.ValidateIdentity] says what AWS would
// refuse.
func AssumePolicy(targetRoleARNs []string, optFns ...func(*PolicyOptions)) *Policy {
	w := newWriter("AssumePolicy", optFns)
	targets := make([]string, 0, len(targetRoleARNs))
	for _, target := range targetRoleARNs {
		head, resource, ok := w.literalARN("target", target)
		if ok {
			targets = append(targets, head+escapeVariables(resource))
		}
	}
	w.add(Statement{
		Effect:   "Allow",
		Action:   append([]string{"sts:AssumeRole"}, w.opts.sessionActions()...),
		Resource: targets,
	})
	return w.done()
}

// literalARN cuts an ARN that is to become a Resource before its resource part,
// where alone IAM knows escapes. What IAM would take for more than it says is
// refused: AWS completes an ARN that lacks fields with wildcards.
func (w *writer) literalARN(argument, text string) (head, resource string, ok bool) {
	a, ok := splitARN(text)
	switch {
	case !ok || a.resource == "":
		w.refuse("the %s %q is not a whole ARN, like arn:aws:iam::444455556666:role/name", argument, text)
		return "", "", false
	case !isPartition(a.partition) || a.service == "" || hasWildcard(a.service):
		w.refuse("the %s %q does not name one partition and service", argument, text)
		return "", "", false
	}
	head = text[:len(text)-len(a.resource)]
	if strings.Contains(head, "$") {
		w.refuse("the %s %q has a $ before its fifth colon, where IAM has no escape for it", argument, text)
		return "", "", false
	}
	w.partitions.add(a.partition, "the "+argument+" "+text)
	return head, a.resource, true
}

// ReadBucketPolicy writes the identity policy of a role that reads a bucket: it
// may get the objects whose keys begin with prefix, in any version, and list
// them. An empty prefix means the whole bucket. The bucket is given by its name
// or its ARN; bucket and prefix are taken literally, whatever wildcards and
// policy variables they have, and no bucket's name has any.
//
// A bucket encrypted with KMS keys of its own account needs these named in
// [PolicyOptions].KMSKeyARNs, each by its full ARN; across accounts the key
// policies must admit the role as well.
func ReadBucketPolicy(bucket, prefix string, optFns ...func(*PolicyOptions)) *Policy {
	w := newWriter("ReadBucketPolicy", optFns)
	name := bucket
	if a, ok := splitARN(bucket); ok {
		if !isPartition(a.partition) || a.service != "s3" || a.region != "" || a.account != "" {
			w.refuse("%q is not the ARN of a bucket, like arn:aws:s3:::pics", bucket)
		}
		w.partitions.add(a.partition, "the bucket "+bucket)
		name = a.resource
	}
	if strings.ContainsAny(name, "*?$/") {
		w.refuse("the bucket %q has characters that no bucket's name has; give a part of it by prefix", name)
	}
	var keys []string
	for _, key := range w.opts.KMSKeyARNs {
		head, resource, ok := w.literalARN("KMS key", key)
		if ok && hasWildcard(key) {
			w.refuse("the KMS key %q has a wildcard: name each key by its ARN", key)
		}
		keys = append(keys, head+escapeVariables(resource))
	}
	bucketARN := "arn:" + w.partitions.orDefault() + ":s3:::" + name
	literal := escapeResource(prefix)
	list := Statement{
		Effect:   "Allow",
		Action:   []string{"s3:ListBucket"},
		Resource: []string{bucketARN},
	}
	if prefix != "" {
		list.Condition = Conditions{"StringLike": {"s3:prefix": {literal + "*"}}}
	}
	w.add(Statement{
		Effect:   "Allow",
		Action:   []string{"s3:GetObject", "s3:GetObjectVersion"},
		Resource: []string{bucketARN + "/" + literal + "*"},
	})
	w.add(list)
	if len(keys) > 0 {
		w.add(Statement{
			Effect:   "Allow",
			Action:   []string{"kms:Decrypt"},
			Resource: keys,
		})
	}
	return w.done()
}
