// A Node program that runs for long: it reads one object again and again with
// the SDK's default credentials, until its standard input ends. It prints one
// JSON object a read, with the access key id that signed.
import { S3Client, GetObjectCommand } from "@aws-sdk/client-s3";

const { ENDPOINT: endpoint, BUCKET: Bucket, KEY: Key } = process.env;
const s3 = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });

let ended = false;
process.stdin.on("end", () => { ended = true; }).resume();
while (!ended) {
  const read = {};
  try {
    read.key = (await s3.config.credentials()).accessKeyId;
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key }));
    read.body = await answer.Body.transformToString("base64");
  } catch (e) {
    read.error = `${e.name}: ${e.message}`;
  }
  console.log(JSON.stringify(read));
  await new Promise((resolve) => setTimeout(resolve, 50));
}
