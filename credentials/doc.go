// Package credentials turns a pod's identity into credentials of a role in
// another AWS account, and keeps them fresh.
//
// Start with [Wrap], which returns a copy of an aws.Config whose requests are signed as
// the target role:
//
//	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
//	…
//	cfg, err := credentials.Wrap(base)                             // direct: the token into AWS_ROLE_ARN
//	cfg, err := credentials.Wrap(base, credentials.Assume(target)) // hub: AWS_ROLE_ARN first, then target
//
// A [Chain] has a source, which is where the pod's own identity comes from (its web
// identity by default), and roles, which are assumed one after the other. Each step is
// a hop and yields a session. A session is renewed in the background before it expires;
// a failed renewal never discards a session that is still valid. Every failure is an
// [*Error] that names the hop, the cause and the fix.
//
// Use [NewPool] for many target roles, [Chain.KeepFresh] to keep an idle process's
// session warm, [Chain.RetrieveFor] when credentials must stay valid for a given time
// (a presigned URL, a job that carries its keys), and [Chain.Check] to find out what
// fails.
//
// # Where settings come from
//
// From the options, and for empty fields of [WebIdentity] and [PodIdentity] from the
// variables that EKS injects. The region is base.Region, AWS_REGION or
// AWS_DEFAULT_REGION; the STS endpoint is Options.STS, AWS_ENDPOINT_URL_STS or the
// region's. A variable set to the empty string is unset. Nothing else in the
// environment has any influence on a chain, except what base was loaded with: its HTTP
// client (HTTPS_PROXY, AWS_CA_BUNDLE), FIPS and dual stack. Clients made from the
// wrapped configuration use base's endpoints, such as AWS_ENDPOINT_URL_S3. Only
// [FromBase] uses base.Credentials.
//
// # Services other than S3
//
// A wrapped configuration works for every client of the SDK. When a service responds
// that the session has expired, the session is renewed and the request retried, once.
package credentials
