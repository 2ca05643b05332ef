/**
 * download lets the browser stream a file to disk: nothing of it is held in the page. An answer that is not a file (an error)
 * renders in the hidden frame, where its text is read and handed to `failed`.
 */
export function download(url: string, failed: (message: string) => void): void {
  const frame = document.createElement('iframe');
  frame.hidden = true;
  frame.title = 'download';
  frame.addEventListener('load', () => {
    if (frame.contentWindow?.location.href === 'about:blank') return;
    const text = frame.contentDocument?.body.textContent ?? '';
    failed(messageOf(text));
    frame.remove();
  });
  frame.src = url;
  document.body.append(frame);
  // A download never fires `load`; the frame is kept long enough for the slowest first byte.
  setTimeout(() => frame.remove(), 10 * 60_000);
}

function messageOf(text: string): string {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null && 'error' in answer && typeof answer.error === 'string') return answer.error;
  } catch {
    // Not JSON: what the server wrote is what there is.
  }
  return text.trim().slice(0, 300) || 'The server did not send the file.';
}
