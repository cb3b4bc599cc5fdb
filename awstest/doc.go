// Package awstest provides an in-memory AWS for tests: accounts, Kubernetes
// clusters that sign service-account tokens, OIDC providers, roles with their
// policies, IAM's API, STS, and S3. It refuses what AWS refuses, with AWS's codes
// and HTTP statuses.
//
// Start with [New]. A cloud needs no network, no environment and no clean-up;
// parallel tests can have hundreds. Inside a testing/synctest bubble it follows the
// bubble's clock, so a test of two hours of refreshes takes no time.
//
// A test of the hub route, with the policies from package trust:
//
//	const target = "arn:aws:iam::444455556666:role/S3_Pics"
//	cloud := awstest.New()
//	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
//	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
//	dev.AddOIDCProvider(blue)
//	hub := dev.CreateRole("hub",
//		trust.WebIdentityPolicy(dev.ID(), []string{blue.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
//		trust.AssumePolicy([]string{target}).String())
//	shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
//	shared.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
//	pod := blue.Pod(t.TempDir(), "default", "app", hub.ARN())
//
//	cfg, err := credentials.Wrap(cloud.Config(), credentials.Assume(target), func(o *credentials.Options) {
//		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
//	})
//
// To test a mistake, make it: leave out AddOIDCProvider, give it another client ID,
// or let [Pod.Rotate] write a token with another audience. For a program in another
// process, [Cloud.Serve] returns a URL and [Pod.Env] the pod's variables.
//
// Set-up needs no permissions: the methods of [Account], [Role], [Cluster] and
// [Bucket] act as an administrator. They panic on what AWS would refuse and name
// the rule, because a test with a wrong set-up proves nothing. To set up as people
// do, by requests to IAM, start with [Account.AdminKey]. Requests of the
// program under test are checked as AWS checks them: signatures (recomputed with
// the SDK's own signer), session tokens and their expiry, the signatures,
// audiences and times of tokens, trust policies, identity, session and bucket
// policies, both sides of a cross-account call, permissions boundaries, and the
// policies of the [Organization] of the accounts. [Cloud.Handle] plays other
// services by a Go function behind the same checks.
//
// When a test fails, print [Cloud.Calls]: Explain of a refused call names the
// statement and the policy that refused, which AWS never does. [Cloud.Fault]
// injects faults.
//
// # What is not modelled
//
// A request that uses one of these is refused, not let through.
//   - More than one partition in a cloud ([Cloud.SetPartition]): hosts of the
//     others are served, but no role or bucket of theirs exists. Make a cloud for
//     each; [Account.OutboundIssuer] leads from one to the other.
//   - Of IAM: groups, AWS managed policies other than AdministratorAccess,
//     AmazonS3ReadOnlyAccess and AmazonS3FullAccess, MFA, SAML, service
//     principals, instance profiles, the account's root user. Of its API, all
//     actions but those on OIDC providers, on roles with their policies, tags and
//     boundaries, on managed policies and their versions, CreateUser, GetUser,
//     PutUserPolicy, CreateAccessKey, ListAccessKeys, DeleteAccessKey,
//     SimulatePrincipalPolicy (which takes no resource policy and returns no
//     positions of statements), ListInstanceProfilesForRole (there are none) and
//     the three on outbound federation.
//   - Of STS: every action but AssumeRole, AssumeRoleWithWebIdentity,
//     GetCallerIdentity, GetSessionToken, GetAccessKeyInfo, GetWebIdentityToken
//     and DecodeAuthorizationMessage (which knows no message, because nothing here
//     encodes one); tags and a source identity in a token's own claims; the
//     parameters SerialNumber, TokenCode, ProvidedContexts and ProviderId; of the
//     claims that GetWebIdentityToken gives, those about organizations and about
//     EC2, Lambda and the like. Regions are all enabled at first, those that
//     accounts opt in to as well ([Account.DisableSTSRegion]), where sessions of
//     sts.amazonaws.com are not valid.
//   - Of Organizations: its API, other policies than SCPs and RCPs, accounts in
//     different organizations (an account is in the cloud's or in none), the limit
//     of policies attached to one target. RCPs apply to S3, STS, SQS, Secrets
//     Manager, KMS, ECR and OpenSearch Serverless; AttachRCP takes no other.
//   - Of services by [Cloud.Handle]: requests without a signature, which SQS and SNS
//     can admit.
//   - Where AWS's documents do not say whether permissions boundaries and session
//     policies limit a resource policy that allows everyone without naming
//     aws:PrincipalArn: here they do.
//   - IAM's quotas, but for the sizes of policies, managed policies of a role and
//     their versions, access keys, tags, OIDC providers of an account and their
//     client ids.
//   - The packed size of policies and tags is an estimate: each byte of the
//     policies without white space, of policies' ARNs and of tags counts as one
//     of 2,048.
//   - OIDC: keys are taken from the [Cluster]; nothing is fetched over HTTP,
//     there are no thumbprints, and key changes take effect immediately.
//   - Changes take effect immediately, where AWS needs seconds, unless
//     [Cloud.SetPropagationDelay] delays those of IAM that it lists. A policy may
//     name a role as soon as it is created.
//   - Condition keys: the aws: keys of principal, organization, request tags, tag
//     keys, time, transport, region, account and user agent, the sts: keys of
//     session name, external id, source identity, duration and transitive tags, the
//     issuer's :sub and :aud, and S3's of listings and common headers. Others, such
//     as aws:SourceIp or aws:SourceVpc, are absent from every request.
//   - Regions of hosts that name none, such as a listener's: there the region
//     that a request is signed for is taken for the endpoint's, so that a bucket
//     elsewhere gets a 301, where AWS says AuthorizationHeaderMalformed.
//   - Signatures of version 2 and 4A, and a Date header in place of X-Amz-Date.
//   - Of S3: every operation but those on objects (CopyObject, DeleteObject,
//     DeleteObjects, GetObject, GetObjectAttributes, GetObjectTagging, HeadObject,
//     PutObject and those of multipart uploads), listings (ListBuckets, ListObjects, ListObjectsV2,
//     ListObjectVersions) and CreateBucket, DeleteBucket, HeadBucket,
//     GetBucketLocation, GetBucketAcl, Get- and PutBucketVersioning, Get-, Put- and
//     DeleteBucketPolicy. ACLs are switched off, as for new buckets; there are no MFA
//     delete, tags of objects, object lock and access points. Block Public Access
//     stops PutBucketPolicy, as for new buckets, but not [Bucket.SetPolicy]. The
//     initiator of a multipart upload has no permissions but those of its policies.
//   - Of encryption: the AWS managed key aws/s3, aliases and grants of KMS keys, an
//     encryption context of the request's own, bucket keys, aws:kms:dsse. A listener
//     without TLS serves keys of customers too.
//   - The memory that objects, versions and parts of uploads in progress take is that
//     of their bytes, until they are deleted, aborted or replaced.
//
// # Compatibility
//
// The package follows the module's versions. If it admits a request that AWS
// refuses, that is a bug, and a test may begin to fail when it is fixed.
package awstest
