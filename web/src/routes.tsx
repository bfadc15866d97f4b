import type { RouteObject } from 'react-router'

import { Broken, Missing } from './shell/Broken'
import { Shell } from './shell/Shell'

/** Every page and its address. Each one's code is loaded when it is first opened. */
export const routes: RouteObject[] = [
  { path: '/sign-in', lazy: () => import('./shell/SignIn'), errorElement: <Broken />, HydrateFallback: () => null },
  {
    element: <Shell />,
    errorElement: <Broken />,
    HydrateFallback: () => null,
    children: [
      { path: '/', lazy: () => import('./dashboard/Dashboard') },
      { path: '/start', lazy: () => import('./registries/FirstPush') },
      { path: '/registries', lazy: () => import('./registries/Registries') },
      { path: '/registries/:registry', lazy: () => import('./registries/Repositories') },
      { path: '/registries/:registry/manage', lazy: () => import('./registries/Manage') },
      { path: '/registries/:registry/repositories/*', lazy: () => import('./registries/Tags') },
      {
        path: '/images/:digest',
        lazy: () => import('./images/Image'),
        children: [
          { index: true, lazy: () => import('./images/Overview') },
          { path: 'layers', lazy: () => import('./images/Layers') },
          { path: 'packages', lazy: () => import('./images/Packages') },
          { path: 'vulnerabilities', lazy: () => import('./images/Findings') },
          { path: 'explain/:name', lazy: () => import('./images/Explain') },
          { path: 'remedy', lazy: () => import('./images/Remedy') },
          { path: 'sources', lazy: () => import('./images/Sources') },
          { path: 'sbom', lazy: () => import('./images/Sbom') },
          { path: 'referrers', lazy: () => import('./images/Referrers') },
          { path: 'history', lazy: () => import('./images/History') },
        ],
      },
      { path: '/compare', lazy: () => import('./images/Compare') },
      { path: '/vulnerabilities', lazy: () => import('./vulnerabilities/Vulnerabilities') },
      { path: '/vulnerabilities/:name', lazy: () => import('./vulnerabilities/Vulnerability') },
      { path: '/assessments', lazy: () => import('./vulnerabilities/Assessments') },
      { path: '/assessments/:id', lazy: () => import('./vulnerabilities/Assessment') },
      { path: '/vex-documents', lazy: () => import('./vulnerabilities/VexDocuments') },
      { path: '/vex-documents/:id', lazy: () => import('./vulnerabilities/VexDocument') },
      { path: '/administration/extensions', lazy: () => import('./administration/Extensions') },
      { path: '/administration/connectors', lazy: () => import('./administration/Connectors') },
      { path: '/administration/vulnerability-sources', lazy: () => import('./administration/VulnerabilitySources') },
      { path: '/administration/vulnerability-sources/:name', lazy: () => import('./administration/VulnerabilitySource') },
      { path: '/administration/policies', lazy: () => import('./administration/Policies') },
      { path: '/administration/advanced-settings', lazy: () => import('./administration/AdvancedSettings') },
      { path: '/administration/assessment-types', lazy: () => import('./administration/AssessmentTypes') },
      { path: '/administration/webhooks', lazy: () => import('./administration/Webhooks') },
      { path: '/administration/webhooks/:name', lazy: () => import('./administration/Webhook') },
      { path: '/administration/kubernetes', lazy: () => import('./administration/Admission') },
      { path: '/administration/feeds', lazy: () => import('./administration/Feeds') },
      { path: '/administration/feeds/:name', lazy: () => import('./administration/Feed') },
      { path: '/administration/scheduled-jobs', lazy: () => import('./administration/ScheduledJobs') },
      { path: '/administration/jobs/:id', lazy: () => import('./administration/Job') },
      { path: '/administration/users', lazy: () => import('./administration/Users') },
      { path: '/administration/api-keys', lazy: () => import('./administration/ApiKeys') },
      { path: '/administration/audit-log', lazy: () => import('./administration/AuditLog') },
      { path: '/administration/system', lazy: () => import('./administration/System') },
      { path: '*', element: <Missing /> },
    ],
  },
]
