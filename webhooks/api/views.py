"""REST for webhooks: thin views over the services and selectors."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.utils.translation import gettext as _
from rest_framework.request import Request

from webhooks import encryption, selectors, services
from webhooks.api.schemas import (
    ChangeWebhookBody,
    DeliveriesOut,
    DeliveriesQuery,
    DeliveryOut,
    ListQuery,
    MessageOut,
    NewWebhookBody,
    RecoverQuery,
    RecoveryOut,
    ReplaceWebhookBody,
    RotateBody,
    TestBody,
    WebhookOut,
    WebhooksOut,
    WebhookWithSecretOut,
    delivery_out,
    webhook_out,
    webhook_with_secret_out,
)
from webhooks.models import Delivery, Webhook
from webhooks.services import CheckedUrl
from wokibrain.core.errors import Code
from wokibrain.rest.openapi import operation
from wokibrain.rest.paging import pagination
from wokibrain.rest.views import ApiView, caller_of, parse_body, parse_query, reply

NOT_FOUND = (Code.NOT_FOUND,)
WithUrl = NewWebhookBody | ReplaceWebhookBody | ChangeWebhookBody


def _url_of(model: type[WithUrl]) -> Callable[[Request], CheckedUrl | None]:
    """Return the check of a body's URL; it runs before the transaction of a request with an Idempotency-Key."""

    def check(request: Request) -> CheckedUrl | None:
        url = parse_body(model, request.data).url
        # Permissions first: no names are looked up for strangers.
        selectors.managed_restaurants(caller_of(request))
        return None if url is None else services.check_url(url)

    return check


class WebhooksView(ApiView):
    @operation(
        "listWebhooks",
        "List webhooks",
        "Oldest first.",
        query=ListQuery,
        out=WebhooksOut,
        errors=NOT_FOUND,
        tag="webhooks",
    )
    def get(self, request: Request) -> HttpResponse:
        query = parse_query(ListQuery, request)
        webhooks, total = selectors.list_webhooks(
            caller=caller_of(request),
            restaurant_id=query.restaurant_id,
            status=query.status,
            page=query.page,
            limit=query.limit,
        )
        return reply(
            WebhooksOut(
                webhooks=[webhook_out(webhook) for webhook in webhooks],
                pagination=pagination(query.page, query.limit, total),
            )
        )

    @operation(
        "createWebhook",
        "Create a webhook",
        "The response contains the secret, which later only a rotation shows.",
        body=NewWebhookBody,
        prepare=_url_of(NewWebhookBody),
        out=WebhookWithSecretOut,
        encryption=encryption,
        status=201,
        errors=NOT_FOUND,
        tag="webhooks",
        creates="webhook",
    )
    def post(self, request: Request, prepared: CheckedUrl) -> HttpResponse:
        body = parse_body(NewWebhookBody, request.data)
        webhook, secret = services.create_webhook(
            caller=caller_of(request),
            restaurant_id=body.restaurant_id,
            url=prepared,
            events=body.events,
            secret=body.secret,
            status=body.chosen_status() or Webhook.Status.ACTIVE,
        )
        return reply(webhook_with_secret_out(webhook, secret), 201)


class WebhookView(ApiView):
    @operation("getWebhook", "One webhook", "By id.", out=WebhookOut, errors=NOT_FOUND, tag="webhooks")
    def get(self, request: Request, webhook: str) -> HttpResponse:
        return reply(webhook_out(selectors.get_webhook(caller_of(request), webhook)))

    @operation(
        "replaceWebhook",
        "Replace a webhook",
        "Without `status` it becomes ACTIVE; without `secret` it keeps its present one.",
        body=ReplaceWebhookBody,
        prepare=_url_of(ReplaceWebhookBody),
        out=WebhookOut,
        encryption=encryption,
        errors=NOT_FOUND,
        tag="webhooks",
    )
    def put(self, request: Request, webhook: str, prepared: CheckedUrl) -> HttpResponse:
        body = parse_body(ReplaceWebhookBody, request.data)
        changed = services.update_webhook(
            caller=caller_of(request),
            webhook_id=webhook,
            url=prepared,
            events=body.events,
            secret=body.secret,
            status=body.chosen_status() or Webhook.Status.ACTIVE,
        )
        return reply(webhook_out(changed))

    @operation(
        "changeWebhook",
        "Change a webhook",
        """PAUSED holds deliveries for up to 72 hours by default and sends them on resume; INACTIVE drops pending
        deliveries and queues no new ones. Omitted fields stay as they are.""",
        body=ChangeWebhookBody,
        prepare=_url_of(ChangeWebhookBody),
        out=WebhookOut,
        encryption=encryption,
        errors=NOT_FOUND,
        tag="webhooks",
    )
    def patch(self, request: Request, webhook: str, prepared: CheckedUrl | None) -> HttpResponse:
        body = parse_body(ChangeWebhookBody, request.data)
        changed = services.update_webhook(
            caller=caller_of(request),
            webhook_id=webhook,
            url=prepared,
            events=body.events,
            secret=body.secret,
            status=body.chosen_status(),
        )
        return reply(webhook_out(changed))

    @operation(
        "deleteWebhook",
        "Delete a webhook",
        "Deletes its deliveries too.",
        out=MessageOut,
        errors=NOT_FOUND,
        tag="webhooks",
    )
    def delete(self, request: Request, webhook: str) -> HttpResponse:
        services.delete_webhook(caller=caller_of(request), webhook_id=webhook)
        return reply(MessageOut(message=_("The webhook is deleted.")))


class RotateSecretView(ApiView):
    @operation(
        "rotateWebhookSecret",
        "Give a webhook a new secret",
        "For a grace period, 24 hours by default, deliveries are signed with both secrets. The body is optional.",
        body=RotateBody,
        out=WebhookWithSecretOut,
        encryption=encryption,
        errors=NOT_FOUND,
        tag="webhooks",
    )
    def post(self, request: Request, webhook: str) -> HttpResponse:
        body = parse_body(RotateBody, request.data)
        rotated, secret = services.rotate_secret(
            caller=caller_of(request), webhook_id=webhook, secret=body.secret
        )
        return reply(webhook_with_secret_out(rotated, secret))


class TestView(ApiView):
    @operation(
        "testWebhook",
        "Send a test",
        """Sends one sample message with the header `X-WokiBrain-Test: true`, signed like any other, whatever the
        webhook's status. It is attempted once; the deliveries show the outcome. The body is optional.""",
        body=TestBody,
        out=DeliveryOut,
        status=202,
        errors=NOT_FOUND,
        tag="webhooks",
        creates="delivery",
    )
    def post(self, request: Request, webhook: str) -> HttpResponse:
        body = parse_body(TestBody, request.data)
        queued = services.send_test(caller=caller_of(request), webhook_id=webhook, event=body.event)
        return _queued(queued)


class DeliveriesView(ApiView):
    @operation(
        "listWebhookDeliveries",
        "List a webhook's deliveries",
        "Latest first, each with its attempts. Deliveries are kept for 30 days by default.",
        query=DeliveriesQuery,
        out=DeliveriesOut,
        errors=NOT_FOUND,
        tag="webhooks",
    )
    def get(self, request: Request, webhook: str) -> HttpResponse:
        query = parse_query(DeliveriesQuery, request)
        owner, deliveries, total = selectors.list_deliveries(
            caller=caller_of(request),
            webhook_id=webhook,
            status=query.status,
            event=query.event,
            page=query.page,
            limit=query.limit,
        )
        zone = selectors.zone_of(owner)
        return reply(
            DeliveriesOut(
                deliveries=[delivery_out(delivery, zone) for delivery in deliveries],
                pagination=pagination(query.page, query.limit, total),
            )
        )


class RedeliverView(ApiView):
    @operation(
        "redeliver",
        "Repeat a delivery",
        "At once, whatever its status, with the same id and body and a new retry schedule.",
        out=DeliveryOut,
        status=202,
        errors=(*NOT_FOUND, Code.INVALID_TRANSITION),
        tag="webhooks",
    )
    def post(self, request: Request, webhook: str, delivery: str) -> HttpResponse:
        return _queued(
            services.redeliver(caller=caller_of(request), webhook_id=webhook, delivery_id=delivery)
        )


class RecoverView(ApiView):
    @operation(
        "recoverWebhook",
        "Repeat missed deliveries",
        """Queues, from an instant on, the deliveries that failed or were dropped and the events from while the webhook
        was inactive or did not exist yet. Messages are kept for 30 days by default. None is delivered twice.""",
        query=RecoverQuery,
        out=RecoveryOut,
        status=202,
        errors=(*NOT_FOUND, Code.INVALID_TRANSITION),
        tag="webhooks",
    )
    def post(self, request: Request, webhook: str) -> HttpResponse:
        query = parse_query(RecoverQuery, request)
        recovery = services.recover(caller=caller_of(request), webhook_id=webhook, since=query.since)
        text = _("%(count)d deliveries are queued.") % {"count": recovery.queued}
        return reply(RecoveryOut(message=text, queued=recovery.queued, complete=recovery.complete), 202)


def _queued(delivery: Delivery) -> HttpResponse:
    return reply(delivery_out(delivery, selectors.zone_of(delivery.webhook)), 202)
