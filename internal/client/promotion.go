package client

import (
	"context"

	"github.com/pratique/pratique/internal/api"
)

// Promote has an image copied to another registry.
func (c *Client) Promote(ctx context.Context, r api.PromotionRequest) (p api.Promotion, err error) {
	return p, c.post(ctx, "/promotions", r, &p)
}

// PlanPromotion says what that comes to.
func (c *Client) PlanPromotion(ctx context.Context, r api.PromotionRequest) (p api.PromotionPlan, err error) {
	return p, c.post(ctx, "/promotions/preview", r, &p)
}
