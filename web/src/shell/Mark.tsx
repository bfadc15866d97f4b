import { Group, Text } from '@mantine/core'

/** The flag: a yellow one asks for pratique. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <Group gap={8} wrap="nowrap">
      <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden focusable="false">
        <rect width="32" height="32" rx="6" fill="#0f6b8b" />
        <path d="M9 5v22" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" />
        <path d="M10 7h14l-4 5 4 5H10z" fill="#ffd54a" />
      </svg>
      <Text component="span" fw={650} fz={size > 30 ? 'xl' : 'lg'}>Pratique</Text>
    </Group>
  )
}
