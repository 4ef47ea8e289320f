import { createApiKey, getApiKey, listApiKeys, updateApiKey } from './api-keys/api-key.http.ts'
import { getMe } from './api-keys/me.http.ts'
import { revokeApiKey, rotateApiKey } from './api-keys/rotation.http.ts'
import { listApiSecurityEvents } from './api-keys/security-event.http.ts'
import {
  createServiceAccount,
  deleteServiceAccount,
  getServiceAccount,
  listServiceAccounts,
  updateServiceAccount,
} from './api-keys/service-account.http.ts'
import { getApiKeyRisk, getApiKeyUsage } from './api-keys/usage.http.ts'
import { getApiMetrics, getApiTargets } from './api-metrics/api-metrics.http.ts'
import { listAuditAnchors } from './audit/anchor.http.ts'
import { getAuditEntry, listAuditEntries } from './audit/entry.http.ts'
import {
  createClient,
  deleteClient,
  getClient,
  listClients,
  updateClient,
} from './clients/client.http.ts'
import { getEgressPolicy, updateEgressPolicy } from './egress/policy.http.ts'
import { createEventBatch, createEventCommit } from './event-consumers/batch.http.ts'
import {
  createEventConsumer,
  deleteEventConsumer,
  getEventConsumer,
  getEventConsumerLag,
  listEventConsumers,
  updateEventConsumer,
} from './event-consumers/consumer.http.ts'
import { getEvent, getEventType, listEvents, listEventTypes } from './events/event.http.ts'
import {
  createEvent,
  createEventType,
  deleteEventType,
  updateEventType,
} from './events/own-type.http.ts'
import { getEventStream } from './events/stream.http.ts'
import { getLiveness, getMetrics, getReadiness } from './http/health.http.ts'
import type { Handlers } from './http/operation.ts'
import { getInboundMetrics, getInboundSourceMetrics } from './inbound/metrics.http.ts'
import {
  createInboundReprocessing,
  getInboundReceipt,
  listInboundReceipts,
  retryInboundReceipt,
} from './inbound/receipt.http.ts'
import { getWebhookChallenge, submitWebhook } from './inbound/receive.http.ts'
import {
  createInboundSource,
  deleteInboundSource,
  getInboundSource,
  listInboundSources,
  updateInboundSource,
} from './inbound/source.http.ts'
import {
  createInvoice,
  getInvoice,
  issueInvoice,
  listInvoices,
  updateInvoice,
  voidInvoice,
} from './invoices/invoice.http.ts'
import { cancelJob, createJob, getJob, listJobs, retryJob } from './jobs/job.http.ts'
import {
  createJobSchedule,
  deleteJobSchedule,
  getJobSchedule,
  listJobSchedules,
  updateJobSchedule,
} from './jobs/schedule.http.ts'
import { getTenantLegalHold, updateTenantLegalHold } from './organizations/legal-hold.http.ts'
import { getLimits, getTenantLimits, updateTenantLimits } from './organizations/limits.http.ts'
import {
  createOrganization,
  createOrganizationAdminKey,
  getOrganization,
  listOrganizations,
} from './organizations/organization.http.ts'
import { createPayment, getPayment, listPayments } from './payments/payment.http.ts'
import { createRefund, getRefund, listRefunds } from './payments/refund.http.ts'
import {
  acceptProposal,
  createProposal,
  declineProposal,
  deleteProposal,
  getProposal,
  listProposals,
  submitProposal,
  updateProposal,
} from './proposals/proposal.http.ts'
import { getRequestLogPolicy, updateRequestLogPolicy } from './request-log/policy.http.ts'
import { getRequestLog, listRequestLogs } from './request-log/request-log.http.ts'
import { getRetentionPolicy, updateRetentionPolicy } from './retention/policy.http.ts'
import { getWebhookEndpointBalance } from './webhooks/balance.http.ts'
import {
  getWebhookDelivery,
  getWebhookDeliveryPayload,
  listDeliveryAttempts,
  listWebhookDeliveries,
  redeliverWebhookDelivery,
} from './webhooks/delivery.http.ts'
import {
  createTestEvent,
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  getWebhookEndpoint,
  listWebhookEndpoints,
  updateWebhookEndpoint,
} from './webhooks/endpoint.http.ts'
import { getWebhookEndpointHealth } from './webhooks/health.http.ts'
import {
  getWebhookKeySet,
  getWebhookPublicKeys,
  rotateWebhookKeySet,
} from './webhooks/key-set.http.ts'
import { getWebhookEndpointMetrics, getWebhookMetrics } from './webhooks/metrics.http.ts'
import { createWebhookPreview } from './webhooks/preview.http.ts'
import { createWebhookReplay, createWebhookReplayPreview } from './webhooks/replay.http.ts'
import { createWebhookDeliveries } from './webhooks/request.http.ts'
import {
  createWebhookResumption,
  createWebhookResumptionPreview,
} from './webhooks/resumption.http.ts'
import { revokeFormerWebhookSecrets, rotateWebhookSecret } from './webhooks/secret.http.ts'
import { getWebhookSender } from './webhooks/sender.http.ts'
import { getWebhookSettings, updateWebhookSettings } from './webhooks/settings.http.ts'

/** Every operation of the contract, and who answers it. */
export const operations = {
  acceptProposal,
  cancelJob,
  createApiKey,
  createClient,
  createEventBatch,
  createEventCommit,
  createEventConsumer,
  createInboundReprocessing,
  createInboundSource,
  createEvent,
  createEventType,
  createInvoice,
  createJob,
  createJobSchedule,
  createOrganization,
  createOrganizationAdminKey,
  createPayment,
  createProposal,
  createRefund,
  createServiceAccount,
  createTestEvent,
  createWebhookDeliveries,
  createWebhookEndpoint,
  createWebhookReplay,
  createWebhookResumption,
  createWebhookResumptionPreview,
  createWebhookPreview,
  declineProposal,
  deleteClient,
  deleteEventConsumer,
  deleteEventType,
  deleteInboundSource,
  deleteJobSchedule,
  deleteProposal,
  deleteServiceAccount,
  deleteWebhookEndpoint,
  getApiKey,
  getApiKeyRisk,
  getApiKeyUsage,
  getApiMetrics,
  getApiTargets,
  getAuditEntry,
  getClient,
  getEvent,
  getEventConsumer,
  getEventConsumerLag,
  getEventStream,
  getEventType,
  getInboundMetrics,
  getInboundReceipt,
  getInboundSource,
  getInboundSourceMetrics,
  getInvoice,
  getJob,
  getJobSchedule,
  getLimits,
  getLiveness,
  getMe,
  getMetrics,
  getOrganization,
  getPayment,
  getProposal,
  getWebhookPublicKeys,
  getReadiness,
  getRefund,
  getRequestLog,
  getRequestLogPolicy,
  getEgressPolicy,
  updateEgressPolicy,
  getRetentionPolicy,
  getServiceAccount,
  getTenantLegalHold,
  getTenantLimits,
  getWebhookChallenge,
  getWebhookDelivery,
  getWebhookDeliveryPayload,
  getWebhookEndpoint,
  getWebhookKeySet,
  getWebhookSender,
  getWebhookSettings,
  getWebhookEndpointBalance,
  getWebhookEndpointHealth,
  getWebhookEndpointMetrics,
  getWebhookMetrics,
  issueInvoice,
  listApiKeys,
  listApiSecurityEvents,
  listAuditAnchors,
  listAuditEntries,
  listClients,
  listDeliveryAttempts,
  listEventConsumers,
  listEvents,
  listEventTypes,
  listInboundReceipts,
  listInboundSources,
  listInvoices,
  listJobs,
  listJobSchedules,
  listOrganizations,
  listPayments,
  listProposals,
  listRefunds,
  listRequestLogs,
  listServiceAccounts,
  listWebhookDeliveries,
  listWebhookEndpoints,
  createWebhookReplayPreview,
  redeliverWebhookDelivery,
  retryInboundReceipt,
  retryJob,
  revokeApiKey,
  revokeFormerWebhookSecrets,
  rotateApiKey,
  rotateWebhookKeySet,
  rotateWebhookSecret,
  submitProposal,
  submitWebhook,
  updateApiKey,
  updateClient,
  updateInboundSource,
  updateEventConsumer,
  updateEventType,
  updateInvoice,
  updateJobSchedule,
  updateProposal,
  updateRequestLogPolicy,
  updateRetentionPolicy,
  updateServiceAccount,
  updateTenantLegalHold,
  updateTenantLimits,
  updateWebhookEndpoint,
  updateWebhookSettings,
  voidInvoice,
} satisfies Handlers
