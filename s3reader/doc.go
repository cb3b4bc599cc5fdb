// Package s3reader reads the objects of one S3 bucket, and reports success for
// nothing but their own bytes.
//
// Start with [New], which takes an aws.Config from anywhere: package
// credentials of this module, config.LoadDefaultConfig, a test.
// [Reader.Get] returns a whole object, [Reader.Open] a handle on one version of
// it, for reading in order or here and there. [Reader.Download] and its companions
// fetch large objects and directories over many connections. [Reader.Stat] and
// [Reader.List] describe what is there, [Reader.FS] shows it as a file system.
//
// # What is promised
//
//   - An [Object] is one version. Every later request for it carries the ETag of
//     the first answer (If-Match), and an answer counts only if status,
//     Content-Range, length and ETag are exactly what was asked for. When the
//     object is overwritten meanwhile, reading goes on in the old version if the
//     bucket keeps it and the role has s3:GetObjectVersion, and fails with
//     [ObjectChanged] otherwise.
//   - A connection that breaks or stalls in the middle of a body is resumed at
//     the next byte. The limit on attempts counts only those without progress.
//   - No success without the full length, nor, where the object has a checksum of
//     all its bytes and is read in order, without that checksum
//     ([Options.Verify]). Its last bytes are held back until it was compared.
//   - The stored bytes are delivered: nothing is decompressed. Info.ContentEncoding
//     tells what they are.
//   - Keys are opaque bytes, sent as they are: no cleaning, no trimming.
//
// # Errors
//
// Whatever S3 answers comes back as an [*Error], whose [Kind] says what went
// wrong:
//
//	errors.Is(err, fs.ErrNotExist)   // the key or the bucket does not exist
//	errors.Is(err, fs.ErrPermission) // S3 refused
//	errors.Is(err, s3reader.Archived)
//
// A missing key looks forbidden to a role without s3:ListBucket on the bucket:
// S3 then answers 403 whether the key exists or not. This package reports what
// S3 said and mentions the other possibility.
//
// # Endpoints
//
// A custom endpoint is taken from where the SDK takes it: AWS_ENDPOINT_URL_S3,
// the profile, cfg.BaseEndpoint, or BaseEndpoint in Options.S3. Where no bucket
// name can stand in front of the endpoint's host (an IP address, localhost, a
// name with no dot or only one, a name in a Kubernetes cluster's DNS), the bucket
// goes into the path. [Options.PathStyle] does the same for any other host.
//
// # Compatibility
//
// Error texts may change; kinds, codes and everything exported stay.
package s3reader
