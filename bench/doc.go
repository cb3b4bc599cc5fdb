// Bench compares crossrole with what a Go program would use without it, in the same run, on the same simulated AWS.
//
//	go run . [-json] [-quick] [-run REGEXP] [-svg FILE] [-list]
//
// Without -json it prints a table with the ratio of ours to each peer; with it
// one JSON object a line:
//
//	{"name":"hot/ns","unit":"ns","better":"lower","ours":61,"peers":{"sdk":64}}
//
// -quick makes fewer rounds: a part such as -run ^s3/ ends within 45 seconds. The exit
// code is 1 if a row could not be measured; a bad figure is no error.
//
// # Contenders
//
//   - ours: credentials.Chain, as New makes it.
//   - sdk: stscreds in aws.CredentialsCache, both with their defaults, one
//     cache for each hop.
//   - sdk-window: the same with an ExpiryWindow of 5 minutes.
//   - minio: the STS providers of minio-go v7. It has none for a chain:
//     [minioHub] feeds the session of STSWebIdentity into STSAssumeRole.
//
// All of them take the hub route: a token file, then two roles. Ours and the peers
// run at the same time or take turns, never one after the other's whole series;
// where a row has several rounds its figure is their median.
//
// # Rows
//
// refresh (real time): 50 callers ask each provider every 20 ms over at least
// three refreshes; all providers run at the same time. STS takes 80 ms a hop and
// gives sessions of 6 s, which stand for 60 s; the 5 minutes of sdk-window, a
// twelfth of a usual session, become 500 ms. Replies have Date and Expiration
// in whole seconds, as STS has them.
//   - refresh/waiting-callers: callers that a Retrieve holds up for more than
//     10 ms at a refresh; median over the refreshes.
//   - refresh/max-wait-ms: the worst Retrieve after the first. It contains what
//     a busy machine does to any goroutine; refresh/noise-ms says how much.
//   - refresh/noise-ms: the same of callers whose provider has nothing to
//     refresh. It depends on the machine alone, so it has no peers.
//
// outage (virtual time): sessions of an hour.
//   - outage/failed-calls: 50 callers ask once a second in the last 20 minutes
//     of their session, STS being down: once answering 503, once refusing
//     connections. Counts the Retrieves that fail although the session is valid,
//     of up to 120,000 (callers that wait ask less often).
//   - outage/sts-calls: HTTP requests that STS gets in the five minutes after
//     the sessions have expired, while it answers 503 after 80 ms and 1,000
//     callers a second come, each of which has 10 s of patience. The SDK's own
//     retries are on.
//
// hang (virtual time): STS accepts requests and never responds, first at hop 1,
// then in a second run at hop 2; the worse of the two counts.
//   - hang/longest-block-s: how long one caller without a deadline is held.
//     300 s stands for longer.
//   - hang/recovery-s: STS works again from the moment that caller is free (or
//     300 s have passed). How long until a caller that asks every 100 ms, or
//     waits if it has to, gets credentials. 300 s stands for longer.
//
// hot (testing.Benchmark): Retrieve on a fresh session.
//   - hot/ns, hot/allocs: per call; median of the rounds.
//
// coldstart (real time): this program starts itself as a pod's program would be
// started, which loads its configuration, goes the hub route and reads an
// object. STS and S3 are two TLS servers on the loopback interface, 20 ms away:
// what a client sends arrives that much later, and the first bytes of a
// connection once more, for TCP's handshake. s3reader.Open against
// s3.Client.GetObject.
//   - coldstart/ms: from before the start of the process to the object's first
//     byte; median of 21 starts (-quick: 7), ours and the SDK's in turn.
//   - coldstart/round-trips: requests and two more for each connection (TCP and
//     TLS 1.3), as the servers count them.
//
// expired (virtual time): 8 workers make 1,000 GETs each, and a HEAD after every
// tenth (-quick: 250). Half way all sessions of the role are revoked: S3 answers
// ExpiredToken. s3reader against s3.Client and minio.Client. (minio-go repeats
// such a request ten times, with the same dead key; the time that this takes may
// bring it to the end of the session.)
//   - expired/recovered: the fraction of requests that succeed.
//   - expired/refreshes: sessions that STS gave after the first.
//
// fanout: 5,000 targets, a role in each of 5,000 accounts, through one hub.
// credentials.Pool against one chain of the SDK's for each target.
//   - fanout/sts-calls: requests for all of them used once.
//   - fanout/bytes-per-target: live heap after a collection that each target
//     adds, with a session token of 1,024 bytes.
//   - fanout/hot-ns: Retrieve on valid sessions of the targets in a random order.
//     The peer "single" is the same with one chain. All take turns; the lower
//     quartile of 40 turns counts.
//   - fanout/warm-ratio (virtual time): until all have a session at an STS that
//     answers in 80 ms and lets 600 requests a second through, over 5,001/600 s.
//     Pool.Warm; the SDK's through as many workers, again after each failure.
//   - fanout/warm-failed: calls that failed meanwhile.
//
// fleet (virtual time): the chains of 10,000 pods (-quick: 1,000) at one STS that
// lets 600 requests a second through (60), which is an account's quota, and
// answers the others Throttling. All pods start within 10 s, ask for credentials
// every 10 s for six hours (-quick: two), are restarted one after the other
// within half an hour, and go through an outage of ten minutes, in which STS
// answers 503. ours against sdk. One round; -svg draws the requests of each minute.
//   - fleet/peak-over-mean: the busiest minute over the mean, from the second
//     session's time on until the restarts.
//   - fleet/failed-calls: Retrieves that fail in the outage, of pods whose session
//     had ten minutes or more left when it began.
//   - fleet/recovery-ratio: from the outage's end until every pod that failed in
//     it has a new session, over what the quota alone makes of the sessions
//     needed. (The pods' own pauses are part of it: ours are up to 60 s long.)
//   - fleet/throttled: requests answered Throttling until the restarts.
//
// s3 (real time): a server in a process of its own on the loopback interface,
// which makes objects of any size from one MiB of noise in memory and reports their
// CRC64NVME. Peers check nothing; ours verifies the complete object. "raw" is
// net/http, "sdk" and "sdk-getobject" s3.Client.GetObject, "transfermanager" and
// "manager" the SDK's, with their defaults or tuned to 16 parts of 16 MiB,
// "minio-parallel" 16 ranges of 16 MiB by minio-go's Core. All take turns, each
// with a collected heap and in an order that moves on every round, and the medians
// are of five rounds or more (-quick: one to five, smaller objects). Client and
// server share the machine's processors: on two of them, a contender of several
// connections gets two over what client and server need together, one of a single
// connection what the busier of the two needs.
//   - s3/discard-mbps: 1 GiB to io.Discard.
//   - s3/random-requests, s3/random-bytes-ratio: an object's last 8 bytes and
//     64 KiB, then 40 ranges of 0.2 to 1 MiB with gaps of up to 256 KiB, by ReadAt
//     of one Object with 64 MiB of Memory, Open's own request included; bytes that
//     the server has sent, read or not, over those asked for.
//   - s3/list-keys-per-s: 200,000 keys.
//   - s3/file-plain-mbps, s3/file-tls-mbps: 1 GiB to a file that has its size.
//   - s3/capped-mbps-N: N MiB over connections of 90 MB/s each, 30 ms to the first
//     byte (-quick: a quarter of N; those of a single connection run once, in the
//     first row).
//   - s3/rss-mib, s3/rss-mib-8gib: the most memory of a process that fetches 1 GiB
//     to such a file, or 8 GiB and keeps nothing; s3/cpu-s-per-gib: the processor
//     time of the first.
//   - s3/small-files-per-s: a directory of 10,000 objects of 8 KiB.
//
// weight: three programs that fetch an object through two hops (weight/), built
// without symbols: with the SDK alone, with a chain, with a chain and a reader.
//   - weight/binary-mib, weight/modules: the file, and the modules linked into it
//     in addition to its own, with credentials and s3reader.
//   - weight/chain-binary-mib, weight/chain-modules: the same with credentials
//     alone.
//
// # Virtual time
//
// Rows that would take minutes run in testing/synctest, whose clock jumps when
// every goroutine waits. It needs a *testing.T, so the program starts itself again
// as a test binary ([virtualMain]). minio-go waits in a sync.Mutex, which stops
// a synctest clock; in virtual time a channel in front of it does the same
// queueing.
package main
