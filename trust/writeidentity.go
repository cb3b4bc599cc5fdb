package trust

import "slices"

// AssumePolicy writes the identity policy of a hub role: it may assume the
// target roles, whose trust policies must admit it as well (see [RolePolicy]).
// Without targets it allows nothing, and AWS refuses the policy. The ARNs are
// not checked: [Policy.ValidateIdentity] says what AWS would refuse.
func AssumePolicy(targetRoleARNs []string, optFns ...func(*PolicyOptions)) *Policy {
	opts := newOptions(optFns)
	return &Policy{
		Version: version2012,
		Statements: []Statement{{
			Effect:   "Allow",
			Action:   append([]string{"sts:AssumeRole"}, opts.sessionActions()...),
			Resource: append([]string{}, targetRoleARNs...),
		}},
	}
}

// ReadBucketPolicy writes the identity policy of a role that reads a bucket: it
// may get the objects whose keys begin with prefix, in any version, and list
// them. An empty prefix means the whole bucket. The prefix is taken literally,
// whatever wildcards it has.
//
// A bucket encrypted with KMS keys of its own account needs these named in
// [PolicyOptions].KMSKeyARNs; across accounts the key policies must admit the
// role as well.
func ReadBucketPolicy(bucket, prefix string, optFns ...func(*PolicyOptions)) *Policy {
	opts := newOptions(optFns)
	bucketARN := "arn:" + opts.Partition + ":s3:::" + bucket
	literal := escapeResource(prefix)
	list := Statement{
		Effect:   "Allow",
		Action:   []string{"s3:ListBucket"},
		Resource: []string{bucketARN},
	}
	if prefix != "" {
		list.Condition = Conditions{"StringLike": {"s3:prefix": {literal + "*"}}}
	}
	policy := &Policy{
		Version: version2012,
		Statements: []Statement{{
			Effect:   "Allow",
			Action:   []string{"s3:GetObject", "s3:GetObjectVersion"},
			Resource: []string{bucketARN + "/" + literal + "*"},
		}, list},
	}
	if len(opts.KMSKeyARNs) > 0 {
		policy.Statements = append(policy.Statements, Statement{
			Effect:   "Allow",
			Action:   []string{"kms:Decrypt"},
			Resource: slices.Clone(opts.KMSKeyARNs),
		})
	}
	return policy
}
