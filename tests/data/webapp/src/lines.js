// A device's health as lines of text.
export function lines(health) {
  return [
    `status  ${health.status}`,
    `uptime  ${Math.round(health.uptime_ms / 1000)} s`,
    `frames  ${Number(health.fps).toFixed(1)} a second`,
    `memory  ${health.memory_free_kb} kB free`,
  ];
}
