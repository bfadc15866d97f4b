import {
  Anchor, Badge, Button, createTheme, type CSSVariablesResolver, type MantineColorsTuple, Modal, Paper, Select, Table, Tabs, TextInput,
} from '@mantine/core'

const harbour: MantineColorsTuple = [
  '#eaf5f9', '#d5e8f0', '#a9cfdd', '#7ab6cc', '#55a1bd', '#3d93b4', '#2e8caf', '#1e789a', '#0f6b8b', '#07546f',
]

const dark: MantineColorsTuple = [
  '#d8dce3', '#b6bdc8', '#98a2b0', '#6f7987', '#414a57', '#343c47', '#272e37', '#191e25', '#13171d', '#0d1014',
]

export const theme = createTheme({
  colors: { harbour, dark },
  primaryColor: 'harbour',
  primaryShade: { light: 8, dark: 7 },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.25rem' },
  defaultRadius: 'sm',
  headings: { fontWeight: '600', sizes: { h1: { fontSize: '1.375rem' }, h2: { fontSize: '1.0625rem' }, h3: { fontSize: '0.9375rem' } } },
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Anchor: Anchor.extend({ defaultProps: { underline: 'hover' } }),
    Badge: Badge.extend({ defaultProps: { tt: 'none', radius: 'sm' } }),
    Button: Button.extend({ defaultProps: { size: 'sm' } }),
    Modal: Modal.extend({ defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' } } }),
    Paper: Paper.extend({ defaultProps: { withBorder: true } }),
    Select: Select.extend({ defaultProps: { allowDeselect: false, checkIconPosition: 'right' } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: 6, horizontalSpacing: 'sm' } }),
    Tabs: Tabs.extend({ defaultProps: { keepMounted: false } }),
    TextInput: TextInput.extend({ defaultProps: { autoComplete: 'off' } }),
  },
})

// Mantine's greys and reds are too pale for small text (WCAG 2.1, 1.4.3).
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#55606b',
    '--mantine-color-placeholder': '#6b7580',
    '--mantine-color-error': '#b42318',
    '--mantine-color-body': '#fbfcfd',
    '--mantine-color-text': '#1b2430',
  },
  dark: {
    '--mantine-color-dimmed': '#a4aebb',
    '--mantine-color-placeholder': '#98a2b0',
    '--mantine-color-error': '#ff8f86',
    '--mantine-color-anchor': '#7cc4dd',
  },
})
