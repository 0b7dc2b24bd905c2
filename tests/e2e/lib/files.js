// Small files of several kinds, made by hand.
import zlib from 'node:zlib';

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]), out = Buffer.alloc(8);
  out.writeUInt32BE(data.length);
  out.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([out.subarray(0, 4), body, out.subarray(4)]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const b of bytes) {
    crc ^= b;
    for (let k = 0; k < 8; k++)
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

// A picture of that size, of one colour.
export function png({ width, height, secret } = {}) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  const rows = zlib.deflateSync(Buffer.alloc((width + 1) * height, 0), { level: 1 });
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
    ...secret ? [chunk('tEXt', Buffer.from(`Comment\0${secret}`))] : [],
    chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))]);
}

function segment(marker, data) {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([head, data]);
}

// The segments of a JPEG; nobody could look at it.
export function jpeg({ width, height, orientation = 1, secret = '', pad = 0 } = {}) {
  const exif = Buffer.concat([Buffer.from('Exif\0\0MM\0\x2a\0\0\0\x08\0\x01'
    + '\x01\x12\0\x03\0\0\0\x01\0', 'latin1'), Buffer.from([orientation]),
  Buffer.alloc(6), Buffer.from(secret)]);
  const sof = Buffer.from([8, 0, 0, 0, 0, 1, 1, 0x11, 0]);
  sof.writeUInt16BE(height, 1);
  sof.writeUInt16BE(width, 3);
  return Buffer.concat([Buffer.from([0xff, 0xd8]),
    segment(0xe0, Buffer.from('JFIF\0\x01\x01\0\0\x01\0\x01\0\0', 'latin1')),
    segment(0xe1, exif), segment(0xfe, Buffer.from(`comment ${secret}`)),
    segment(0xdb, Buffer.alloc(65, 1)), segment(0xc0, sof),
    segment(0xc4, Buffer.alloc(20)), segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0])),
    Buffer.alloc(pad, 0x55), Buffer.from('picture'), Buffer.from([0xff, 0xd9])]);
}

// The beginning of a film, and noise up to that length.
export function mp4(length) {
  const out = Buffer.alloc(length);
  for (let i = 0; i < length; i++)
    out[i] = (i * 31) & 255;
  Buffer.from('\0\0\0\x18ftypmp42\0\0\0\0mp42isom', 'latin1').copy(out);
  return out;
}

export const pdf = () => Buffer.from('%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n');

// A sound's head, and noise.
export const mp3 = (length) => Buffer.concat([
  Buffer.from('ID3\x03\0\0\0\0\0\0\xff\xfb\x90\x64', 'latin1'),
  Buffer.alloc(length - 14, 7)]);
