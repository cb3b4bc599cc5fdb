// A long-running Node program: it reads one object repeatedly with the SDK's default
// credentials, until its standard input is closed. For each read it prints one JSON
// object with the access key ID that signed the request.
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
